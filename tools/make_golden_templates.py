"""Makes tests/golden/templates: what Jinja2, in the environment Hugging Face sets up, renders.

snippets.json  our own snippets (tools/template_snippets.py) with their context, and the text or null where one raises
chats.json     the conversations every template is rendered with
expected.json  per template and conversation: hash (FNV-1a, 64 bits) and length of the text, or null where the template raises

Usage: python3 tools/make_golden_templates.py FOLDER_OF_TEMPLATES tests/golden/templates [FOLDER_FOR_THE_TEXTS]
Needs jinja2 and transformers. The clock stands still at 2025-01-31 12:34:56.
"""

import datetime
import json
import pathlib
import sys

import transformers
import transformers.utils.chat_template_utils as chat_template_utils
from template_chats import CHATS
from template_snippets import CONTEXT, SNIPPETS

NOW = datetime.datetime(2025, 1, 31, 12, 34, 56)


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedClock


def render(source, context):
    """The text, or None where compiling or rendering raises."""
    try:
        return chat_template_utils._compile_jinja_template(source).render(**json.loads(json.dumps(context)))
    except Exception:  # noqa: every kind of failure is one outcome here
        return None


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main():
    templates = pathlib.Path(sys.argv[1])
    golden = pathlib.Path(sys.argv[2])
    golden.mkdir(parents=True, exist_ok=True)
    made_with = f"jinja2 in the environment of transformers {transformers.__version__}"

    snippets = []
    for source in SNIPPETS:
        text = render(source, CONTEXT)
        if text is not None and " at 0x" in text:
            continue  # an object's address differs from run to run
        snippets.append([source, text])
    write(golden / "snippets.json", {"made_with": made_with, "context": CONTEXT, "snippets": snippets})

    expected = {}
    for path in sorted(templates.glob("*.jinja")):
        source = path.read_text()
        for chat in CHATS:
            text = render(source, chat["context"])
            digest = None
            if text is not None:
                digest = {"fnv1a": fnv1a(text.encode()), "bytes": len(text.encode())}
            expected.setdefault(path.stem, {})[chat["name"]] = digest
            if len(sys.argv) > 3:
                pathlib.Path(sys.argv[3], f"{path.stem}.{chat['name']}.txt").write_text(str(text), newline="")
    write(golden / "chats.json", {"chats": CHATS})
    write(golden / "expected.json", {"made_with": made_with, "expected": expected})


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


main()
