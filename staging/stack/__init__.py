"""The stack of stores: its slot, its state folder, its images and its holder; brought up, and taken down."""
