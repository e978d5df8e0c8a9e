"""The canary: a user, a knowledge base and a question with a known answer, for probes."""

from app.identity import stable_id

USERNAME = "canary"
KNOWLEDGE_BASE = stable_id(USERNAME, "knowledge base")
KNOWLEDGE_BASE_NAME = "Lighthouse handbook"
QUESTION = "How often must the keeper wind the clockwork of the lamp?"
ANSWER_FILE = "lamp.txt"
ANSWER_WORDS = "every four hours"
"""Words that the answer to the question must hold."""

FILES = {
    "lamp.txt": (
        "The lamp turns on a bath of mercury. The keeper must wind the clockwork of the lamp"
        " every four hours, and must note each winding in the log."
    ),
    "fog-signal.txt": (
        "The fog signal sounds two blasts a minute. Compressed air for the horn is stored in three"
        " steel tanks beneath the gallery."
    ),
    "tides.txt": (
        "Spring tides cover the landing stage. Supplies are carried ashore at low water, and the boat"
        " is never moored to the outer ring in winter."
    ),
    "weather.txt": (
        "Barometer, thermometer and wind are read at dawn and at dusk. A falling barometer is"
        " telegraphed to the harbour office at once."
    ),
}
