"""Texts in the shape of an undeclared secret: tokens, and passwords in the usual places of passwords.

Every shape begins with a word that is looked up first. So a text of megabytes costs a few searches, not a
regular expression at each of its characters.

The time is linear in the text, whatever it is: a commit message or a user's request must not hang a
verification. So quantifiers are possessive. A part that may fail after a long way cannot pass its shape's
next word, is bounded, or is passed over whole.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from rollproof.redaction.words import Words

MARKER = "[redacted]"

Spans = Iterator[tuple[int, int]]
"""Beginning and end of places in a text."""


def _any(_text: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape: `pattern` is tried wherever `word` (small letters) stands; its group "secret" is the secret.

    A match without a secret is passed over: no secret of this shape begins within it.
    `kind` is the name in a finding; None for a text that is replaced, but would be no proof of a leak.
    `accepts` judges the secret itself.
    """

    word: str
    pattern: re.Pattern[str]
    kind: str | None = None
    accepts: Callable[[str], bool] = _any

    def spans(self, text: str, small: str) -> Spans:
        """Yield the places of this shape's secrets in `text`; `small` is `text` in small letters."""
        at = small.find(self.word)
        while at >= 0:
            match = self.pattern.match(text, at)
            end = at + len(self.word)
            if match is not None:
                secret = match["secret"]
                if secret is None:
                    end = max(end, match.end())
                elif not secret.startswith(MARKER) and self.accepts(secret):
                    yield match.span("secret")
                    end = max(end, match.end("secret"))
            at = small.find(self.word, end)


def _compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern that passes over a secret which was replaced before, without reading on behind it."""
    return re.compile(pattern.replace("(?P<secret>", rf"(?!{re.escape(MARKER)})(?P<secret>"), flags)


def in_small_letters(text: str) -> str:
    """Return `text` in small letters, each at its place."""
    # The one letter whose small form is longer.
    return text.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i").lower()


def _is_basic(encoded: str) -> bool:
    """Return whether a word is the base64 of ``user:password``."""
    try:
        decoded = base64.b64decode(
            encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True
        ).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return ":" in decoded and decoded.isprintable()


def _is_no_word(secret: str) -> bool:
    """Return whether a text is a value, not a name as in source text."""
    return not secret.replace("_", "").replace(".", "").isalpha()


def _is_no_port(secret: str) -> bool:
    return not secret.isdigit()


# Characters between a name and its value: quotes, escaped or not, and the sign.
_IS = r"""\\?+['"]?+\s*+(?:[:=]|%3d)\s*+\\?+['"]?+\s*+"""
_NAMED = r"(?:[_-]?(?:access[_-]?)?key)?"
_QUOTED = r"""\\?+['"]?+\s*+[:=]\s*+\\?+['"](?!/)(?P<secret>[^'"\\\r\n]{4,}+)"""
# In an assignment without quotes; not a call of that name, or a look-up in it. A path is no secret.
_UNQUOTED = r"""=(?![=/])(?P<secret>[^\s'"&;,(){}\[\]<>\\*$]{4,}+)(?![(\[])"""
_CALL = r"""=[^\s'"&;,(){}\[\]<>\\*$]*+"""
_SPACE = r"(?:\s|%20){1,64}+"
_GAP = r"\s{1,64}+"
# SQL that gives an account its password, which a migration may hold: statements are shown on one line.
_STATEMENTS = (
    ("identified", rf"identified{_GAP}(?:(?:with|via){_GAP}\S{{1,64}}+{_GAP})?+(?:by|as|using){_GAP}"),
    ("with password", rf"with{_GAP}(?=password)"),
    ("set password", rf"set password(?:{_GAP}for{_GAP}[^\s=]{{1,200}}+)?+\s{{0,64}}+=\s{{0,64}}+"),
)
_OF_ACCOUNT = r"""(?:password[\s(]{1,64}+)?+\\?+['"](?P<secret>[^'"\\\r\n]{4,}+)"""
# The next entry of a list of YAML, one a line, or in brackets and without quotes.
_ENTRY = r"""(?:\\?+['"]?+[ \t]{0,8}+\r?\n[ \t]{0,32}+-[ \t]{1,8}+|,[ \t]{1,8}+(?=[^\s,\]'"]{1,200}[,\]]))"""
# Between two words of a command: in a line, or in a list as compose files and JSON have it.
_GLUE = (
    r"""(?:\\?+['"]?+(?:[ \t]|\\\r?\n){1,32}+|\\?+['"]\s{0,8}+,\s{0,8}+(?=\\?+['"])"""
    rf"|{_ENTRY})"
)
_NEXT = rf"(?:{_GLUE}|=)"


def _value(before: str = "") -> str:
    """Return the pattern of a value, in quotes to the same quote; `before` is what is no secret of it.

    It is not the next option, a path, a variable or a placeholder.
    """
    return (
        rf"""(?P<quote>\\?+['"])?+{before}"""
        r"""(?![-/<%]|(?-i:\${1,2}[A-Z_{(]|[A-Z_]++(?![^\s'"\\;,\])>])))"""
        r"""(?P<secret>(?(quote)(?:(?!(?P=quote))[^\r\n]){4,300}+|[^\s'"\\;|`]{4,}+))"""
    )


_OPTION = (
    r"--(?!(?:no|skip|ask|max|first|second|two|by)[_-])"
    r"(?:(?:[a-z0-9]{1,24}[_.-]){0,4}(?:password|passwd|passphrase|token|pwd|pass|requirepass|masterauth)"
    r"|(?:[a-z0-9]{1,24}[_-]){1,4}secret|(?:[a-z0-9]{1,24}[_-]){0,4}secret(?=[_-]?(?:access[_-]?)?key)"
    r"|(?:[a-z0-9]{1,24}[_-]){0,4}(?:api|auth|master)(?=[_-]?key))"
)
# What help, errors and messages say after the name of an option.
_IN_PROSE = (
    r"(?:and|flag|given|instead|is|may|missing|must|needs?|options?|or|prompts?|requires?|string|text|was)\b"
)
# A word of a command, or more of them in quotes.
_WORD = (
    r"""(?:"[^"\r\n]{0,300}+"(?=[ \t])|'[^'\r\n]{0,300}+'(?=[ \t])|\\?+['"]?+(?![&|;])[^\s|;,'"\\]{1,200}+)"""
)


def _command(programs: str, option: str, value: str) -> str:
    """Return the pattern of a program with a password by its short `option`, after other words."""
    words = rf"(?:{_GLUE}(?!\\?+['\"]?+{option}){_WORD}){{0,16}}?"
    return rf"(?<![\w-]){programs}{words}{_GLUE}\\?+['\"]?+{option}{value}"


_USER = r"""[^\s:'"]{1,64}+:(?!//)"""
# Of client programs, by how each begins: the password is glued to its option, or the next word.
_PROGRAMS = (
    ("mysql", r"mysql(?:[-_]?[a-z_]{2,8})?+", r"-p(?!rint|urge|rune|arent|ort\b)", ""),
    ("mariadb", r"mariadb(?:-[a-z]{4,8})?+", r"-p", ""),
    ("redis-cli", "redis-cli", rf"-a{_NEXT}", ""),
    ("valkey-cli", "valkey-cli", rf"-a{_NEXT}", ""),
    ("mongo", r"mongo(?:[a-z]{2,7})?+", rf"-p{_NEXT}", ""),
    ("docker login", "docker login", rf"-p{_NEXT}", ""),
    ("sshpass", "sshpass", r"-p[ \t]{0,8}+", ""),
    ("curl", "curl", rf"(?:-[a-zA-Z]{{0,6}}u|--(?:proxy-)?user){_NEXT}?", _USER),
)
_LONGEST_KEY = 16384
"""Characters of the longest private key that is found by its end."""


def _shapes() -> Iterator[Shape]:
    # JSON Web Tokens begin with the base64 of '{"'; a printer may have cut the rest.
    part = r"[A-Za-z0-9_-]{8,}+"
    whole = rf"(?P<secret>eyJ{part}\.eyJ{part}\.{part})|eyJ[A-Za-z0-9_-]*+"
    yield Shape("eyj", _compiled(whole), "token")
    yield Shape("eyj", _compiled(r"(?P<secret>eyJ[A-Za-z0-9_-]{6,}+[A-Za-z0-9_.-]*+)"))
    for word, pattern, kind in _HEADERS:
        yield Shape(word, _compiled(pattern, re.IGNORECASE), kind)
    basic = rf"(?<!\w)basic{_SPACE}(?P<secret>[A-Za-z0-9+/_-]{{8,}}+={{0,2}})"
    yield Shape("basic", _compiled(basic, re.IGNORECASE), "password", _is_basic)
    for word, pattern, kind in _ADDRESSES:
        yield Shape(word, _compiled(pattern, re.IGNORECASE), kind, _is_no_port)
    for word in (
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "pwd",
        "api_key",
        "api-key",
        "apikey",
    ):
        yield Shape(word, _compiled(f"{word}{_NAMED}{_QUOTED}", re.IGNORECASE))
        bare = f"{word}{_NAMED}{_UNQUOTED}|{word}{_NAMED}{_CALL}"
        yield Shape(word, _compiled(bare, re.IGNORECASE), accepts=_is_no_word)
    yield from _options()
    for word, pattern in _STATEMENTS:
        yield Shape(word, _compiled(f"{pattern}{_OF_ACCOUNT}", re.IGNORECASE))
    for word, rest, kind, accepts in _KEYS:
        pattern = rf"(?<![A-Za-z0-9])(?P<secret>{re.escape(word)}{rest})(?![A-Za-z0-9])"
        yield Shape(word.lower(), _compiled(pattern), kind, accepts)
    begin = r"-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY-----"
    # Also line by line with a printer's prefixes, and without its end.
    body = r"(?:(?:\s|\\[nr]){1,256}+(?:E\s{1,256}+)?[A-Za-z0-9+/=]{16,}+)"
    last = r"(?:(?:\s|\\[nr]){1,256}+(?:E\s{1,256}+)?[A-Za-z0-9+/=]{1,15}(?=[ \t]{0,256}(?:[\r\n\\]|$)))?"
    for key in (
        rf"{begin}(?P<secret>(?:[^-]|-(?!----)){{1,{_LONGEST_KEY}}}+)-----END",
        rf"{begin}(?P<secret>{body}+{last})",
    ):
        yield Shape("-----begin", _compiled(key, re.DOTALL), "private key", _holds_base64)


def _options() -> Iterator[Shape]:
    """Yield the shapes of passwords that a command is given: by its option, or by a program's short one."""
    option = rf"(?<![\w-]){_OPTION}{_NAMED}(?:{_GLUE}(?!{_IN_PROSE})|=){_value()}"
    yield Shape("--", _compiled(option, re.IGNORECASE))
    for word in ("requirepass", "masterauth"):
        directive = rf"(?:^|(?<=config set )){word}[ \t]{{1,32}}+{_value()}"
        yield Shape(word, _compiled(directive, re.IGNORECASE | re.MULTILINE))
    # An account of Redis, by its command or in its file.
    name = r"[ \t]{1,8}+\S{1,64}+"
    for word, begin in (
        ("setuser", f"setuser{name}"),
        ("user", rf"^user{name}[ \t]{{1,8}}+(?:on|off|reset)\b"),
    ):
        rules = r"(?:[ \t]{1,8}+[^\s>]\S{0,200}+){0,24}+[ \t]{1,8}+"
        password = rf"{begin}{rules}>(?![$<{{])(?P<secret>\S{{4,}}+)"
        yield Shape(word, _compiled(password, re.IGNORECASE | re.MULTILINE))
    for word, programs, option, before in _PROGRAMS:
        yield Shape(word, _compiled(_command(programs, option, _value(before))), accepts=_is_no_address)


def _is_no_address(secret: str) -> bool:
    """Return whether a text is something else than a port, or a pair of ports, which some options are for."""
    return re.fullmatch(r"\d{1,5}|[\d.]*:[\d.:]*(?:/\w+)?", secret) is None


def _holds_base64(text: str) -> bool:
    """Return whether a text holds a key, not just the rest of one."""
    return re.search(r"[A-Za-z0-9+/]{16}", text) is not None


def _is_random(secret: str) -> bool:
    """Return whether a text has digits and letters as a key has, and is no chain of words."""
    digits = sum(character.isdigit() for character in secret)
    return digits > 2 and not secret.isdigit()  # noqa: PLR2004 - a chain of words may have a number or two


# Keys that begin with their vendor's sign, after the rules of gitleaks. Only exact lengths prove a leak.
_KEYS: tuple[tuple[str, str, str | None, Callable[[str], bool]], ...] = (
    *((word, r"[A-Z0-9]{16}", "key", _any) for word in ("AKIA", "ASIA", "ABIA", "ACCA")),
    *((word, r"[A-Za-z0-9]{36}", "key", _any) for word in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_")),
    ("github_pat_", r"\w{82}", "key", _any),
    *((word, r"[\w-]{20,300}+", "key", _any) for word in ("glpat-", "glrt-")),
    *((word, r"[A-Za-z0-9]{34}", "key", _any) for word in ("hf_", "api_org_")),
    # Of many vendors of language models: OpenAI, Anthropic, DeepSeek, OpenRouter.
    ("sk-", r"[A-Za-z0-9_-]{16,300}+", None, _is_random),
    *((f"xox{kind}-", r"[A-Za-z0-9-]{10,300}+", None, _is_random) for kind in "abeoprs"),
    ("xapp-", r"\d-[A-Za-z0-9-]{10,300}+", None, _is_random),
    ("AIza", r"[\w-]{35}", "key", _any),
    *(
        (f"{who}_{where}_", r"[A-Za-z0-9]{10,300}+", None, _is_random)
        for who in ("sk", "rk")
        for where in ("test", "live", "prod")
    ),
    ("whsec_", r"[A-Za-z0-9+/=]{24,300}+", None, _is_random),
    ("gsk_", r"[A-Za-z0-9]{52}", "key", _any),
    ("pypi-AgEIcHlwaS5vcmc", r"[\w-]{50,1000}+", "key", _any),
    ("dop_v1_", r"[a-f0-9]{64}", "key", _any),
    ("pplx-", r"[A-Za-z0-9]{48}", "key", _any),
    ("hvs.", r"[\w-]{90,300}+", "key", _any),
    *((word, r"[a-f0-9]{32}", "key", _any) for word in ("dapi", "shpat_")),
    ("lin_api_", r"[A-Za-z0-9]{40}", "key", _any),
    ("glsa_", r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}", "key", _any),
    ("AGE-SECRET-KEY-1", r"[A-Z0-9]{58}", "key", _any),
    ("SG.", r"[A-Za-z0-9=_.-]{66}", None, _is_random),
    *((word, r"=[A-Za-z0-9+/]{20,200}+={0,2}", None, _any) for word in ("AccountKey", "SharedAccessKey")),
    *(
        (f"{host}.com/api/", r"(?:v\d{1,2}/)?webhooks/\d{15,22}/[\w-]{60,80}+", None, _any)
        for host in ("discord", "discordapp")
    ),
    ("outlook.office.com/webhook/", r"[\w/@.-]{40,400}+", None, _any),
    ("webhook.office.com/", r"[\w/@.-]{40,400}+", None, _any),
    ("api.telegram.org/bot", r"\d{6,12}:[\w-]{30,50}+", None, _any),
    ("hooks.slack.com/", r"(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,60}+", None, _any),
)

_SCHEME = rf"(?:(?:basic|bearer|digest|token|negotiate){_SPACE})?+"
_HEADERS = (
    ("bearer", rf"(?<!\w)bearer{_SPACE}(?P<secret>[A-Za-z0-9._~+/-]{{16,}}+=*+)", "token"),
    # Headers of several parts, any of which may be the secret.
    (
        "authorization",
        rf"authorization{_IS}(?:digest|aws4-hmac-sha256)\s++(?!{re.escape(MARKER)})(?P<secret>[^\r\n{{}}]++)",
        None,
    ),
    (
        "authorization",
        rf"authorization{_IS}{_SCHEME}(?!(?:expected|observed|digest|aws4-hmac-sha256)\b)(?P<secret>[^\s'\"\[,\\]++)",
        None,
    ),
    (
        "cookie",
        r"""cookie\\?+['"]?+\s*+[:=]\s*+\\?+['"]?+(?P<secret>[^\s=;,'"\[\\]{1,256}+=[^\r\n'"]++)""",
        None,
    ),
    ("x-auth-token", rf"x-auth-token{_IS}(?P<secret>[^\s'\"&,\\]{{8,}}+)", None),
    ("api-key", rf"api-key{_IS}(?P<secret>[^\s'\"&,\\]{{8,}}+)", None),
    *(
        (
            f"x-{vendor}-{part}",
            rf"x-{vendor}-{part}{_IS}(?P<secret>(?:[^\s&'\"<>\\,;%]|%(?!26)){{4,}}+)",
            "signature" if part == "signature" else None,
        )
        for vendor in ("amz", "goog")
        for part in ("signature", "credential", "security-token")
    ),
    # Older signatures, and another vendor's.
    ("signature=", r"(?<=[?&;])signature=(?P<secret>[^\s&'\"<>]{8,}+)", None),
    ("awsaccesskeyid=", r"(?<=[?&;])awsaccesskeyid=(?P<secret>[^\s&'\"<>]{8,}+)", None),
    ("sig=", r"(?<=[?&;])sig=(?P<secret>[A-Za-z0-9%+/=_-]{16,}+)", None),
)
# user:password@ in a URL; the greedy match lets the password itself hold an '@'.
_ADDRESSES = (
    ("://", r"://[^\s/:@'\"\\]*+:(?P<secret>[^\s/'\"\\<>]+)(?=@)", "password"),
    # A password with a '/', if it is not in a port's place.
    (
        "://",
        r"://[^\s/:@'\"\\]*+:(?!\d{1,5}[/?#])(?P<secret>[^\s'\"\\@<>/]{0,256}+/[^\s'\"\\@<>]{0,256}+)@",
        None,
    ),
    ("://", r"://(?P<secret>[A-Za-z0-9_-]{20,}+)@", None),
    # The same in the JSON of some languages, and inside another URL.
    (r":\/\/", r":\\/\\/[^\s/:@'\"\\]*+:(?P<secret>[^\s/'\"\\<>]+)(?=@)", None),
    (
        "%3a%2f%2f",
        r"%3a%2f%2f(?:[^\s&'\"<>%]|%(?!40|3a|2f))*+%3a(?P<secret>(?:[^\s&'\"@<>%]|%(?!2f))+)(?=%40)",
        None,
    ),
)


class Shapes:
    """Several shapes. All shapes whose word is not in a text cost one pass over it together."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        self._shapes = tuple(shapes)
        self._words = Words((shape.word, shape.word) for shape in self._shapes)

    def tried(self, small: str) -> Iterator[Shape]:
        """Yield the shapes whose word is in a text, given in small letters."""
        there = self._words.values(small)
        return (shape for shape in self._shapes if shape.word in there) if there else iter(())


SHAPES = Shapes(_shapes())


def looks_secret(text: str, small: str) -> Spans:
    """Yield the places of probable secrets in `text`; spans may overlap."""
    for shape in SHAPES.tried(small):
        yield from shape.spans(text, small)


def surely_secret(text: str, small: str) -> Iterator[tuple[int, str]]:
    """Yield the places of almost certain secrets in `text`, with their kinds."""
    for shape in SHAPES.tried(small):
        if shape.kind is not None:
            yield from ((start, shape.kind) for start, _ in shape.spans(text, small))


def replaced(text: str, spans: Mapping[tuple[int, int], str]) -> str:
    """Return `text` with each of `spans` replaced; overlapping spans all get the first one's replacement."""
    pieces: list[str] = []
    at = 0
    for (start, end), new in sorted(spans.items()):
        if start >= at:
            pieces += [text[at:start], new]
        at = max(at, end)
    return "".join([*pieces, text[at:]]) if pieces else text
