"""Programs that are run for a report: Node and Allure, and a separate process that draws pictures."""
