#!/usr/bin/env python3
"""Checks that the documentation is whole.

Every public name stands in docs/reference and in docs/types: each field of a
public module, and each method that a binding in C or a script gives to its
objects. Every link within the documentation leads somewhere. The header of an
example says how it is run, and of a server how it is ended.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Scripts that are no module of their own.
INTERNAL = {"asyncrt.concurrent", "asyncrt.event", "asyncrt.failures",
            "asyncrt.heap", "asyncrt.http.client", "asyncrt.http.gzip",
            "asyncrt.http.log", "asyncrt.http.request",
            "asyncrt.http.response", "asyncrt.http.router",
            "asyncrt.http.server", "asyncrt.options",
            "asyncrt.secure", "asyncrt.stream", "asyncrt.test"}
PRIVATE = {"heap.lua", "log.lua"}  # scripts whose objects no user sees
ALIASES = {"asyncrt": "rt"}  # what a module is called, if not by its last name
RENAMED = {"sync.c": "latch"}  # bindings whose objects the reference calls so
LAZY = {  # fields made by __index
    "asyncrt": ["stdin", "stdout", "stderr"],
    "asyncrt.http": ["client", "get", "gzip", "post", "request", "router"],
}

problems = []


def read_all(pattern):
    return "\n".join(path.read_text() for path in sorted(ROOT.glob(pattern)))


reference = read_all("docs/reference/*.md")
types = read_all("docs/types/**/*.lua")
command_line = read_all("docs/reference/command-line.md")


def expect(text, where, pattern, what):
    if not re.search(pattern, text, re.M):
        problems.append(f"{what} is missing in {where}")


# --- The fields of modules ---


def public_modules():
    for path in sorted((ROOT / "scripts").rglob("*.lua")):
        relative = path.relative_to(ROOT / "scripts").with_suffix("")
        name = ".".join(relative.parts)
        if name not in INTERNAL:
            yield name


def check_module(asyncrt, module):
    expect(command_line, "docs/reference/command-line.md",
           rf"^\| `{module}` \|", f"the module {module}")
    program = (f"for name in pairs(require('{module}')) do print(name) end")
    done = subprocess.run([asyncrt, "-e", program], text=True, check=True,
                          capture_output=True)
    alias = ALIASES.get(module, module.rsplit(".", 1)[-1])
    page = ROOT / "docs/types" / (module.replace(".", "/") + ".lua")
    declared = page.read_text() if page.exists() else ""
    expect(declared, page.relative_to(ROOT), rf"^---@meta {module}$",
           f"---@meta {module}")
    for name in sorted(done.stdout.split() + LAZY.get(module, [])):
        what = f"{alias}.{name}"
        expect(reference, "docs/reference", rf"\b{alias}\.{name}\b", what)
        expect(declared, page.relative_to(ROOT),
               rf"^(function {alias}\.{name}\(|{alias}\.{name} = )", what)


# --- Methods ---


def c_methods():
    """Pairs of what a method is called on, or None, and its name."""
    for path in sorted((ROOT / "bindings").rglob("*.c")):
        text = path.read_text()
        for array in re.findall(r"luaL_Reg \w*methods\[\] = \{(.*?)^\};", text,
                                re.S | re.M):
            for name, function in re.findall(r'\{"(\w+)",\s*(\w+)\}', array):
                if name.startswith("__"):
                    continue
                comment = re.search(
                    r"/\*((?:(?!\*/).)*)\*/\s*static int " + function + r"\(",
                    text, re.S)
                on = comment and re.search(rf"(\w+):{name}\b", comment.group(1))
                yield RENAMED.get(path.name, on and on.group(1)), name


def lua_methods():
    for path in sorted((ROOT / "scripts").rglob("*.lua")):
        if path.name in PRIVATE:
            continue
        text = path.read_text()
        # A method about which not a sentence is said is no one's business.
        for comment, on, name in re.findall(
                r"((?:^---.*\n)*)^function ([A-Z]\w*|methods)[:.](\w+)\(", text,
                re.M):
            said = re.search(r"^---(?!@)", comment, re.M)
            if said and not name.startswith("_"):
                yield (on.lower() if on != "methods" else "event"), name


def check_method(on, name):
    what = f"{on or '…'}:{name}"
    expect(reference, "docs/reference", rf"\b{on or ''}:{name}\(", what)
    expect(types, "docs/types", rf"^function \w+:{name}\(", what)


# --- Links ---


def slug(heading):
    """As GitHub makes the name of a heading."""
    heading = re.sub(r"[`*]", "", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")


def without_code(markdown):
    return re.sub(r"^( *)```.*?^\1```", "", markdown, flags=re.S | re.M)


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", without_code(path.read_text()), re.M)
    return {slug(heading) for heading in headings}


def check_links(path):
    text = without_code(path.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        destination = (path.parent / file).resolve() if file else path
        shown = f"{path.relative_to(ROOT)}: the link {target}"
        if not destination.exists():
            problems.append(f"{shown} leads nowhere")
        elif anchor and anchor not in anchors(destination):
            problems.append(f"{shown} names no heading")


# --- Examples ---


def check_example(path):
    text = path.read_text()
    header = re.match(r"(--.*\n)*", text).group()
    shown = path.relative_to(ROOT)
    lines, most = text.count("\n"), 100 if path.stem == "crawler" else 60
    if lines >= most:
        problems.append(f"{shown} has {lines} lines, not less than {most}")
    expect(header, f"the header of {shown}", rf"^--   asyncrt {shown}\b",
           "how to run it")
    if re.search(r"\.(serve|listen)\(", text):
        expect(re.sub(r"\n-- ", " ", header), f"the header of {shown}",
               r"\bRuns until Ctrl-C\b", "'Runs until Ctrl-C'")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", required=True, type=Path)
    parser.add_argument("--without", nargs="*", default=[],
                        help="components that the build has not")
    options = parser.parse_args()

    for module in public_modules():
        if module.removeprefix("asyncrt.") not in options.without:
            check_module(options.asyncrt.resolve(), module)
    for on, name in [*c_methods(), *lua_methods()]:
        check_method(on, name)
    for path in [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]:
        check_links(path)
    for path in sorted(ROOT.glob("examples/*.lua")):
        check_example(path)
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
