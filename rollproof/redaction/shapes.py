"""Texts in the shape of an undeclared secret: tokens, and passwords in the usual places of passwords.

Every shape begins with a word that is looked up first. So a text of megabytes costs a few searches, not a
regular expression at each of its characters. The time is linear in the text, whatever it is: a commit message
or a user's request must not hang a verification. So quantifiers are possessive, and what may fail is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MARKER = "[redacted]"


@dataclass(frozen=True, slots=True)
class SecretShape:
    """One shape: `pattern` is tried wherever `word` (small letters) stands; its group "secret" is the secret.

    `kind` is the name in a finding; "" for a text that is replaced, but would be no proof of a leak.
    `accepts` judges the secret itself.
    """

    word: str
    pattern: re.Pattern[str]
    kind: str
    accepts: Callable[[str], bool]


def _any(_text: str) -> bool:
    return True


def _is_no_word(secret: str) -> bool:
    """Return whether a text is a value, not a name as in source text."""
    return not secret.replace("_", "").replace(".", "").isalpha()


def _is_no_port(secret: str) -> bool:
    return not secret.isdigit()


def _is_random(secret: str) -> bool:
    """Return whether a text has digits and letters as a key has, and is no chain of words."""
    digits = sum(character.isdigit() for character in secret)
    return digits > 2 and not secret.isdigit()  # noqa: PLR2004 - a chain of words may have a number or two


# Characters between a name and its value: quotes, escaped or not, and the sign.
_IS = r"""\\?+['"]?+\s{0,64}+[:=]\s{0,64}+\\?+['"]?+\s{0,64}+"""
_SPACE = r"(?:\s|%20){1,64}+"
_SCHEME = rf"(?:(?:basic|bearer|digest|token|negotiate|aws4-hmac-sha256){_SPACE})?+"
_SIGNED = r"(?P<secret>(?:[^\s&'\"<>\\,;%]|%(?!26)){8,}+)"
_HEADERS = (
    ("bearer", rf"(?<!\w)bearer{_SPACE}(?P<secret>[\w.~+/-]{{16,}}+=*+)", "token"),
    (
        "authorization",
        rf"authorization{_IS}{_SCHEME}(?!expected\b|observed\b)(?P<secret>[^\s'\"\[,\\]++)",
        "",
    ),
    ("cookie", rf"""cookie{_IS}(?P<secret>[^\s=;,'"\[\\]{{1,256}}+=[^\r\n'"\\]++)""", ""),
    *((word, rf"{word}{_IS}(?P<secret>[^\s'\"&,\\]{{8,}}+)", "") for word in ("x-auth-token", "api-key")),
    # What signs the address of an object.
    (
        "x-amz-",
        rf"x-amz-(?:signature|credential|security-token)(?:{_IS}|%3d){_SIGNED}",
        "signature",
    ),
)
# user:password@ in a URL, whose slashes JSON may have escaped; the password itself may hold an '@'.
_ADDRESS = r"""[^\s/:@'"\\]*+:(?P<secret>[^\s/'"\\<>]+)(?=@)"""
_NAMES = ("password", "passwd", "passphrase", "secret", "token", "pwd", "api_key", "apikey", "requirepass")
_KEY = r"(?:[_-]?(?:access[_-]?)?key)?"
_QUOTED = r"""\\?+['"]?+\s{0,64}+[:=]\s{0,64}+\\?+['"](?!/)(?P<secret>[^'"\\\r\n]{4,}+)"""
# In an assignment without quotes; not a call of that name, or a look-up in it. A path is no secret.
_UNQUOTED = r"""=(?![=/])(?P<secret>[^\s'"&;,(){}\[\]<>\\*$]{4,512}+)(?![(\[])"""
# Also line by line with a printer's prefixes, in JSON, and without its end.
_PRIVATE_KEY = (
    r"-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY-----(?:\s|\\[nr]|E\s){1,256}+(?=[\w+/]{16})"
    r"(?P<secret>[\w+/=\s\\]{16,16384}+)"
)
# Keys that begin with their vendor's sign, after the rules of gitleaks. Only exact lengths prove a leak.
_VENDORS: tuple[tuple[tuple[str, ...], str, bool], ...] = (
    (("AKIA", "ASIA"), r"[A-Z0-9]{16}", True),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_"), r"[A-Za-z0-9]{36}", True),
    (("github_pat_",), r"\w{82}", True),
    (("glpat-", "glrt-"), r"[\w-]{20,300}+", True),
    (("hf_",), r"[A-Za-z0-9]{34}", True),
    (("gsk_",), r"[A-Za-z0-9]{52}", True),
    (("AIza",), r"[\w-]{35}", True),
    # Of many vendors of language models: OpenAI, Anthropic, DeepSeek, OpenRouter; and of Stripe.
    (("sk-", "sk_live_", "sk_test_", "rk_live_"), r"[\w-]{16,300}+", False),
    (("xoxa-", "xoxb-", "xoxp-", "xoxs-", "xapp-"), r"[A-Za-z0-9-]{10,300}+", False),
    (("AccountKey=", "SharedAccessKey="), r"[A-Za-z0-9+/]{20,200}+={0,2}", False),
    (("discord.com/api/webhooks/",), r"\d{15,22}/[\w-]{60,80}+", False),
    (("api.telegram.org/bot",), r"\d{6,12}:[\w-]{30,50}+", False),
    (("hooks.slack.com/",), r"(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,60}+", False),
)


def _shape(
    word: str, pattern: str, kind: str = "", accepts: Callable[[str], bool] = _any, flags: int = 0
) -> SecretShape:
    """Return a shape that passes over a secret which was replaced before."""
    pattern = pattern.replace("(?P<secret>", rf"(?!{re.escape(MARKER)})(?P<secret>")
    return SecretShape(word, re.compile(pattern, flags | re.ASCII), kind, accepts)


def _shapes() -> Iterator[SecretShape]:
    # JSON Web Tokens begin with the base64 of '{"'; a printer may have cut the rest.
    part = r"[\w-]{8,}+"
    yield _shape("eyj", rf"(?<![\w-])(?P<secret>eyJ{part}\.eyJ{part}\.{part})", "token")
    yield _shape("eyj", r"(?<![\w-])(?P<secret>eyJ[\w-]{6,}+[\w.-]*+)")
    for word, pattern, kind in _HEADERS:
        yield _shape(word, pattern, kind, flags=re.IGNORECASE)
    yield _shape("://", f"://{_ADDRESS}", "password", _is_no_port)
    yield _shape(r":\/\/", rf":\\/\\/{_ADDRESS}")
    for name in _NAMES:
        yield _shape(name, f"{name}{_KEY}{_QUOTED}", flags=re.IGNORECASE)
        yield _shape(name, f"{name}{_KEY}{_UNQUOTED}", "", _is_no_word, re.IGNORECASE)
    for signs, rest, sure in _VENDORS:
        for sign in signs:
            key = rf"(?<![A-Za-z0-9])(?P<secret>{re.escape(sign)}{rest})(?![A-Za-z0-9])"
            yield _shape(sign.lower(), key, "key" if sure else "", _any if sure else _is_random)
    yield _shape("-----begin", _PRIVATE_KEY, "private key")


SHAPES = tuple(_shapes())


def shaped(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield beginning, end and kind of each probable secret in `text`; a kind means almost certain.

    The places may overlap.
    """
    # In small letters, each at its place: this is the one letter whose small form is longer.
    small = text.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i").lower()
    for shape in SHAPES:
        at = small.find(shape.word)
        while at >= 0:
            match = shape.pattern.match(text, at)
            end = at + len(shape.word)
            if match is not None and shape.accepts(match["secret"]):
                yield *match.span("secret"), shape.kind
                end = max(end, match.end("secret"))
            at = small.find(shape.word, end)


def replaced(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return `text` with `MARKER` in place of each of `spans`, which may overlap."""
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if start >= at:
            pieces += [text[at:start], MARKER]
        at = max(at, end)
    return "".join([*pieces, text[at:]]) if pieces else text
