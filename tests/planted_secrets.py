"""Invented secrets of every kind that is looked for, made anew from a seed, so that no scanner takes them for real."""

from __future__ import annotations

import random
import string

_LETTERS = string.ascii_letters + string.digits
_WIDE = _LETTERS + "_-"


def planted(seed: int) -> dict[str, tuple[str, str]]:
    """Return for each name what is planted into a text, and what of it must not be seen any more."""
    chance = random.Random(seed)

    def some(count: int, of: str = _LETTERS) -> str:
        return "".join(chance.choice(of) for _ in range(count))

    lower, digits, hexadecimal = string.ascii_lowercase, string.digits, "0123456789abcdef"
    keys = {
        "anthropic": "sk-ant-" + "api03-" + some(93, _WIDE) + "AA",
        "openai": "sk-" + "proj-" + some(74, _WIDE) + "T3Blbk" + "FJ" + some(74, _WIDE),
        "openai_old": "sk-" + some(20) + "T3Blbk" + "FJ" + some(20),
        "openrouter": "sk-or-" + "v1-" + some(64, hexadecimal),
        "github": "ghp_" + some(36),
        "github_fine": "github_pat_" + some(22) + "_" + some(59),
        "gitlab": "glpat-" + some(20, _WIDE),
        "slack": "xoxb-" + some(12, digits) + "-" + some(12, digits) + "-" + some(24),
        "aws": "AKIA" + some(16, string.ascii_uppercase + "234567"),
        "google": "AIzaSy" + some(33, _WIDE),
        "hugging_face": "hf_" + some(34, string.ascii_letters),
        "npm": "npm_" + some(36),
        "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + some(60, _WIDE),
        "groq": "gsk_" + some(52),
        "xai": "xai-" + some(80),
        "stripe": "sk_" + "live_" + some(24),
        "sendgrid": "SG." + some(22, _WIDE) + "." + some(43, _WIDE),
        "web_token": "eyJ" + some(33) + ".eyJ" + some(60) + "." + some(43, _WIDE),
        "private_key": "-----BEGIN "
        + "RSA PRIVATE KEY-----\n"
        + "\n".join(some(64, _LETTERS + "+/") for _ in range(4))
        + "\n-----END "
        + "RSA PRIVATE KEY-----",
        "email": f"{some(6, lower)}.{some(5, lower)}@{some(7, lower)}.example.com",
    }
    password, bearer, session = "p" + some(9) + "7", some(24) + "1", some(20) + "2"
    home, windows_home = f"/home/{some(8, lower)}", rf"C:\Users\{some(8, lower)}"
    found = {name: (key, key) for name, key in keys.items()}
    found["address"] = (f"postgres://app:{password}@db.internal/x", password)
    found["header"] = (f"Authorization: Bearer {bearer}", bearer)
    found["cookie"] = (f"Cookie: session={session}; theme=dark", session)
    found["env"] = (f"DB_PASSWORD={password}", password)
    found["quoted"] = (f'password = "{password}"', password)
    found["secret_key"] = (f"aws_secret_access_key = {some(38, _LETTERS + '+/')}9x", "")
    found["secret_key"] = (found["secret_key"][0], found["secret_key"][0].rpartition(" ")[2])
    found["exported"] = (f'export GITHUB_TOKEN="{bearer}"', bearer)
    found["member"] = (f'{{"bot_token":"{bearer}"}}', bearer)
    found["sentence"] = (f'DB_PASSWORD="{some(4)} {password} $x&y"', password)
    found["special"] = (f"PASSWORD={password}&{some(3)}!;x", password)
    found["vector"] = (f'["curl","-u","ada:{password}"]', password)
    found["element"] = (f"<password>{password}</password>", password)
    found["dockerfile"] = (f"FROM debian\nENV API_KEY {bearer}", bearer)
    found["query"] = (f"https://api.example.com/x?key={bearer}&n=1", bearer)
    lines = keys["private_key"].split("\n")
    numbered = "\n".join(f"     {number}→{line}" for number, line in enumerate(lines, 1))
    found["numbered_key"] = (numbered, lines[2])
    found["coloured"] = (f"\x1b[31msk-ant\x1b[0m-api03-{bearer}", bearer)
    found["home"] = (f"{home}/projects/x", home)
    found["windows_home"] = (rf"{windows_home}\projects\x", windows_home)
    return found
