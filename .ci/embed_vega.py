"""Write the script with which report.html draws its charts: Vega, Vega-Lite and vega-embed as one file.

    python .ci/embed_vega.py [--check]

The installed vl-convert-python carries them. Making the file takes more than a second of CPU, so it is made here and
not at the end of each run. With `--check` it is compared with what this would write, where the versions are the same.
"""

import sys
from pathlib import Path

import vl_convert

PATH = Path(__file__).parents[1] / "aether_load" / "outputs" / "page" / "vega" / "vega.min.js"


def bundle() -> str:
    """Return the script, under a line that names its versions."""
    versions = f"vega {vl_convert.get_vega_version()}, vega-embed {vl_convert.get_vega_embed_version()}"
    script = vl_convert.javascript_bundle("window.draw = vegaEmbed;").replace("</script", "<\\/script")
    return f"/* {versions}; licences: see LICENSE beside this file. Written by .ci/embed_vega.py. */\n{script}"


def main() -> int:
    """Write the file, or compare it."""
    written = bundle()
    if "--check" not in sys.argv:
        PATH.write_text(written, encoding="utf-8")
        return 0
    there = PATH.read_text(encoding="utf-8")
    same_versions = there.partition("\n")[0] == written.partition("\n")[0]
    if same_versions and there != written:
        sys.stderr.write(f"{PATH} is not what this writes; run: python .ci/embed_vega.py\n")
        return 1
    print("the script is current" if same_versions else "not compared: vl-convert-python has other versions of Vega")
    return 0


if __name__ == "__main__":
    sys.exit(main())
