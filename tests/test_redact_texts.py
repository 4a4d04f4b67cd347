"""What is taken for a secret in a text, and what is not."""

from __future__ import annotations

import json
import random
import re
import string
import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planted_secrets import planted

from sessionlab.lab.secrets import KINDS, Finder, hint_pattern, home_of, kinds_in, known_homes, rules

NAMES = sorted(planted(0))
SEEDS = st.integers(0, 10_000)
AROUND = st.text(st.characters(codec="utf-8"), max_size=40)
HOME_NAMES = ("home", "windows_home")


def finder(*homes: str) -> Finder:
    numbers: dict[str, str] = {}
    return Finder(lambda kind, secret: numbers.setdefault(secret, f"<{kind}-{len(numbers) + 1}>"), homes)


def homes_in(*names: tuple[str, str]) -> list[str]:
    return [home for text, _ in names if (home := home_of(text))]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(seed=SEEDS, before=AROUND, after=AROUND)
def test_no_planted_secret_is_left_whatever_text_stands_around_it(
    name: str, seed: int, before: str, after: str
) -> None:
    text, secret = planted(seed)[name]
    found = finder(*homes_in((text, secret)))
    redacted = found.redacted(f"{before}{text}{after}")
    assert secret not in redacted
    assert kinds_in(redacted)
    assert found.redacted(redacted) == redacted


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(seed=SEEDS, before=AROUND, after=AROUND, ascii=st.booleans(), depth=st.integers(1, 3))
def test_json_stays_json_of_the_same_structure_and_keeps_no_secret(
    name: str, seed: int, before: str, after: str, ascii: bool, depth: int
) -> None:
    text, secret = planted(seed)[name]
    value: Any = {"command": f"{before}\n{text}\n{after}", "numbers": [1, 2.5, None, True], before: {"x": []}}
    for _ in range(depth - 1):
        value = {"inner": json.dumps(value, ensure_ascii=ascii), "n": 1}
    written = json.dumps(value, ensure_ascii=ascii, indent=2)
    found = finder(*homes_in((text, secret)))
    redacted = found.redacted(written)
    said = json.loads(redacted)
    for _ in range(depth - 1):
        assert list(said) == ["inner", "n"]
        said = json.loads(said["inner"])
    assert secret not in said["command"]
    assert said["numbers"] == [1, 2.5, None, True]
    assert len(said) == len(json.loads(json.dumps({"command": 0, "numbers": 0, before: 0})))
    assert found.redacted(redacted) == redacted


@settings(max_examples=60)
@given(seed=SEEDS, name=st.sampled_from(NAMES), before=AROUND)
def test_lines_of_json_stay_json_each_for_itself(seed: int, name: str, before: str) -> None:
    text, secret = planted(seed)[name]
    line = json.dumps({"command": f"{before}\n{text}\nrest"})
    redacted = finder(*homes_in((text, secret))).redacted(f"{line}\n{line}\n…")
    first, second, _ = redacted.split("\n")
    assert json.loads(first) == json.loads(second)
    assert secret not in json.loads(first)["command"]


@settings(max_examples=60)
@given(texts=st.lists(st.tuples(AROUND, SEEDS, st.sampled_from(NAMES), st.booleans()), max_size=4))
def test_what_has_a_secret_has_a_hint_too_so_that_the_quick_look_misses_none(
    texts: list[tuple[str, int, str, bool]],
) -> None:
    for before, seed, name, as_json in texts:
        planted_text, secret = planted(seed)[name]
        homes = homes_in((planted_text, secret))
        text = f"{before}{planted_text}"
        text = json.dumps({"a": text}) if as_json else text
        hinted = pc.match_substring_regex(pa.array([text], pa.large_string()), hint_pattern(homes))[0].as_py()
        assert hinted or finder(*homes).redacted(text) == text


# What stands before, in and after a name with its value, and what only looks like it.
_CALLED = [
    "password",
    "DB_PASS",
    "api_key",
    "API-KEY",
    "Token",
    "encryption_key",
    "client_secret",
    "credentials",
    "pwd",
]
_BITS = [
    "=",
    ": ",
    '": "',
    " => ",
    "'",
    '"',
    "\\",
    "\n",
    " ",
    "&",
    "?",
    "_",
    "x",
    "A1",
    "0123456789abcdef" * 2,
    "K\u0130",
]
_PATHS = ["C:\\Users\\ada", "C:/Users/ada/x", "-I", ":/", ":\\\\", "Users\\", "sk-", "sk-ant-", "value: "]


_PLANTED = st.builds(lambda seed, name: planted(seed)[name][0], SEEDS, st.sampled_from(NAMES))


@settings(max_examples=400)
@given(
    st.lists(_PLANTED | st.sampled_from([*_CALLED, *_BITS, *_PATHS]) | st.text(max_size=6), max_size=24).map("".join)
)
@example('database_pass = "abcd 1234"; x?amp;redis_pass=abcd1234&y')
def test_a_rule_that_looks_near_its_hints_alone_finds_what_it_would_find_in_the_whole_text(text: str) -> None:
    for rule in rules():
        near = [match.span() for match in rule.matches(text, text.lower())]
        assert near == [match.span() for match in rule.pattern.finditer(text)], rule.pattern.pattern


def noise(letters: str, count: int, seed: int = 1) -> str:
    chance = random.Random(seed)
    return "".join(chance.choice(letters) for _ in range(count))


@pytest.mark.parametrize(
    "text",
    [
        "commit 8a51d09f1e2c3b4a5968778695a4b3c2d1e0f9a8 (HEAD -> main, tag: v1.2.3)",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "session 1509bb0a-9bf1-4331-8a11-8783593942a4 went on as 01890a5d-ac96-774b-bcce-b302099a8057",
        "data:image/png;base64,iVBORw0KGgo" + noise(string.ascii_letters + string.digits + "+/", 200_000),
        "The password is long and the secret is safe; a bearer of news, a token bucket, the key to it all.",
        "git clone git@github.com:ada/harbor.git && open logo@2x.png && npm install left-pad@1.3.0",
        "@app.route('/about/page') and https://example.com/home/page, see src/home/index.ts and ./Users/list.tsx",
        "max_tokens=4096, token_type='output', input_tokens: 812, api_key=os.environ['API_KEY']",
        "def login(password: str, token: str | None = None) -> None: ...",
        "task-12345678901234567890 risk-assessment-of-the-quarter disk-usage desk-lamp",
        "/etc/passwd /srv/www /usr/local/bin /Users/Shared/x C:\\Windows\\System32 /homeless/x /home",
        '{"max_tokens": "4096", "token": "the", "key": "value", "password": "", "secret": null, "n": 1e5}',
        "aaaa.bbbb.cccc 10.0.0.1:8080 1.2.3-rc.1 https://docs.python.org/3/library/re.html#re.sub",
        "::1 http://[::1]:8080/ ssh://git@host/x http://localhost:8888/lab?reset",
        "Größe: 数据 @ 5 %, a@b, x @ y.T, foo@bar",
        "fetch('/home/settings'); route('/Users/list'); src\\/home\\/index",
        "PASSWORD_RESET_TIMEOUT = 259200\nTOKEN_LIMIT=100000000000000000\nfirst_pass=12345\nPASS: test_of_2",
        "API_KEY=process.env.OPENAI_API_KEY_2; token = response_token_value2; password = settings.DB_PASSWORD_2",
        "curl x; rsync -a host:path; cp -a src:dst; docker run --user 1000:1000\ngit push -u origin:main",
        "uses: actions/checkout@v4.1.ab",
        'PASSWORD="$DB_PASSWORD1" TOKEN="${TOKEN_2}" password=generate_password(12) PASSWORD=<your-password-1>',
        'print("Password:", given, "x"); url = "&password=" + quoted + "&x1"; <input type="password" name="x1">',
        '{"password": "Enter your password", "token": "$API_TOKEN_1234567", "next_page_token": "abcdef1234567890"}',
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert finder().redacted(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gcc -I/home/ada/include -L/home/ada/lib", "gcc -I<home-1>/include -L<home-1>/lib"),
        ("PATH=/usr/bin:/home/ada/bin", "PATH=/usr/bin:<home-1>/bin"),
        ("file:///Users/ada/x and /Users/ada.", "file://<home-1>/x and <home-1>."),
        (r"'C:\Users\Ada Lovelace\x'", r"'<home-1>\x'"),
        ("~/.claude/projects/-home-ada-projects-harbor/x", "~/.claude/projects/<home-1>-projects-harbor/x"),
        ("https://ada:hunter2@host/x", "https://ada:<password-1>@host/x"),
        ("Write to ada@example.com, ada@example.com!", "Write to <email-1>, <email-1>!"),
        ("curl -u ada:hunter2 https://host", "curl -u ada:<password-1> https://host"),
        ("curl -H 'X-Api-Key: 0123456789abcdef01'", "curl -H 'X-Api-Key: <api-key-1>'"),
        ("mysql --password hunter2x db", "mysql --password <password-1> db"),
        ("see -----BEGIN PRIVATE KEY----- in the file", "see <private-key-1> in the file"),
        ("Cookie: a=bcd; e=f and so on", "Cookie: <token-1> and so on"),
        ("--token=abcdef0123456789 x", "--token=<api-key-1> x"),
        ('{"password": "correct-horse"}', '{"password": "<password-1>"}'),
        (r'{"u": "\/home\/ada\/x", "n": 1}', '{"u": "<home-1>/x", "n": 1}'),
        (r'{"e": "\u00e9: ada\u0040example.com"}', r'{"e": "\u00e9: <email-1>"}'),
    ],
)
def test_only_the_secret_is_replaced(text: str, expected: str) -> None:
    assert finder().redacted(text) == expected


VALUE = "a8Kd03jfXk29dLq0Zs7T"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        *(
            (text.replace("…", VALUE), VALUE)
            for text in (
                'export GITHUB_TOKEN="…"',
                "AZURE_KEY='…'",
                'BOT_TOKEN = "…"',
                'botToken: "…"',
                '{"env":{"GITHUB_TOKEN":"…"}}',
                '{"AZURE_OPENAI_KEY":"…"}',
                '{"Cookie":"sid=…"}',
                "'Cookie': 'session=…'",
                '["gh","--token","…"]',
                "DB_PASS=…",
                "?token=…",
                "token=…",
                "secret: …",
                "api_key:…",
                '{"name":"OPENAI_API_KEY","value":"…"}',
                "- name: OPENAI_API_KEY\n  value: …",
                '\x1b[1mpass\x1b[0mword="…"',
                r'log "\u001b[31msk-ant\u001b[0m-api03-…',
            )
        ),
        ("PASSWORD=tr0ub4dor&3", "&3"),
        ("password: hunter2!x;y", ";y"),
        ('{"password":"pa$$w0rd(1)"}', "w0rd"),
        ('{"password":"correct horse"}', "horse"),
        ('{"password":"a,b}c d&e"}', "d&e"),
        ('DB_PASSWORD="p@ss$word1"', "word1"),
        ("export DB_PASSWORD='my pass word 9'", "word 9"),
        ('password="it\'s1secret"', "1secret"),
        ('"PASSWORD=pa$$w0rd(1)"', "(1)"),
        ("?password=abc1&x=1", "abc1"),
        ("password:S3cr3t1", "S3c"),
        ("Server=a;Pwd=Pa55word;Database=x", "Pa55"),
        ("Authorization: Basic YWRhOmdlaGVpbWVz", "YWR"),
        ('{"Authorization": "Basic YWRhOmdlaGVpbWVz"}', "YWR"),
        ("Bearer abcdEFGHijklMNOPqrstUVWX", "abcdE"),
        ('["psql","--password","S3cr3ttt"]', "S3c"),
        ("['curl', '-u', 'ada:S3cr3t']", "S3c"),
        ("curl -su ada:S3cr3tP4", "S3c"),
        ("mysql -u root -pS3cr3t1", "S3c"),
        ("sshpass -p 'S3cr3t!' ssh x", "S3c"),
        ("https://discord.com/api/webhooks/123456789012345678/" + "aB3_" * 17, "aB3_"),
        ("/nfs/home/bob/x", "bob"),
        ("vscode://file/home/bob/x", "bob"),
        (r"\\wsl$\Ubuntu\home\bob\x", "bob"),
        ("\x1b[01;34m/home/bob/x", "bob"),
        ("\x1b[32mada@example.com", "ada"),
        ("C:/Users/Grace Hopper/x", "Hopper"),
        ("ls /root/x", "/root"),
    ],
)
def test_a_secret_is_found_as_programs_and_people_write_it(text: str, secret: str) -> None:
    hinted = pc.match_substring_regex(pa.array([text], pa.large_string()), hint_pattern())[0].as_py()
    redacted = finder().redacted(text)
    assert hinted
    assert secret not in redacted
    assert finder().redacted(redacted) == redacted
    assert not text.startswith(("{", '["')) or json.loads(redacted)


@pytest.mark.parametrize("before", ["> ", "| ", "+", "-", "# ", "  "])
def test_a_private_key_is_found_with_a_mark_before_each_line(before: str) -> None:
    lines = planted(3)["private_key"][0].split("\n")
    for text in (
        "\n".join(before + line for line in lines),
        " +\n".join(json.dumps(before + line + "\n") for line in lines),
        json.dumps(lines),
    ):
        redacted = finder().redacted(text)
        assert not any(line[:20] in redacted for line in lines[1:-1])


def test_colours_stay_around_what_is_replaced() -> None:
    text = "\x1b[1m\x1b[32mada\x1b[0m@example.com\x1b[K is \x1b[31mred\x1b[0m"
    assert finder().redacted(text) == "\x1b[1m\x1b[32m<email-1>\x1b[0m\x1b[K is \x1b[31mred\x1b[0m"


def test_a_known_home_is_found_whole_and_no_longer_name_is_taken_for_it() -> None:
    found = finder(r"C:\Users\Ada Lovelace", "/opt/app", "/home/ada")
    assert found.redacted(r"in C:\Users\Ada Lovelace now") == "in <home-1> now"
    assert found.redacted("/opt/apple /opt/app/x").startswith("/opt/apple <home-")
    assert not found.redacted("x/home/adam").startswith("x<")


def test_json_within_a_text_stays_json() -> None:
    redacted = finder("/home/bob").redacted('log\n{"a": "b\\\\/home/bob", "c": "PASSWORD=\'x1y2\'", "d": "\'"}\nrest')
    line = redacted.split("\n")[1]
    assert json.loads(line)["a"] == "b<home-1>"
    assert json.loads(line)["d"] == "'"
    assert "x1y2" not in line


def test_a_key_that_was_cut_off_is_found_at_both_ends() -> None:
    whole = planted(3)["private_key"][0]
    body = whole.split("\n")[1:-1]
    for part in (whole[: len(whole) // 2], whole[len(whole) // 2 :], json.dumps({"k": whole})[:-60]):
        redacted = finder().redacted(part)
        assert not any(line[:40] in redacted or line[-40:] in redacted for line in body)


def test_known_homes_are_those_of_the_paths_and_this_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/data/people/ada")
    monkeypatch.setenv("USERPROFILE", "/data/people/ada")
    homes = known_homes(["/home/bob/x", "/srv/www", r"C:\Users\Eve Adams\y"])
    assert {"/home/bob", r"C:\Users\Eve Adams", "/data/people/ada"} <= homes
    redacted = finder(*homes).redacted(r"/data/people/ada/x x/home/bob C:\\Users\\Eve Adams and more")
    assert not re.search("ada|bob|Eve", redacted)


def test_every_rule_names_its_kind_its_hints_and_its_source() -> None:
    assert {rule.kind for rule in rules()} == set(KINDS)
    assert all(rule.hints and rule.source and all(h == h.lower() for h in rule.hints) for rule in rules())


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "sk-",
        "eyJ",
        "://a:",
        "password",
        'token="',
        "a@",
        "a@b.",
        "/home/",
        "%2Fhome",
        "\\n",
        "C:\\Users\\",
        "1:AA",
        "\x1b[m",
        "curl -u",
        "mysql ",
        "?password=a1,",
        "[{",
        "token=a_",
        "\\/home",
    ],
)
def test_a_hostile_text_takes_no_longer_than_its_length(unit: str) -> None:
    text = unit * (100_000 // len(unit)) + " sk- private key @ :// token= "
    before = time.process_time()
    finder().redacted(text)
    assert time.process_time() - before < 20  # one that takes its length squared needs minutes
