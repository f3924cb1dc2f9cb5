"""Write the corpus: `python -m tests.data.make`."""

import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image, PngImagePlugin

from harness.judging.records import Searched
from harness.model.architecture import Estimator
from harness.model.variants import Configuration, Search
from suites.microstructure import dataset, folder
from suites.microstructure.homogenization import TARGETS
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record

HERE = Path(__file__).parent


def main():
    for name in ("good", "images", "tables", "about", "records"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    folder.write_folder(dataset.make(dataset.Parameters(count=20)), HERE / "good", "GPa", {})
    for name, content in {**images(), **tables(), **about(), **records()}.items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


# --- images -------------------------------------------------------------------------------------------------------


def pixels():
    (path,) = (HERE / "good").glob("3_*.png")
    return np.array(Image.open(path).convert("L"))


def png(image, **options):
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()


def chunk(kind, content):
    """W3C, PNG specification, section 5.3."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def by_hand(width, height, *chunks, depth=8, colour=0):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def second_header(content, width, height):
    """The first header says what it should; who reads on obeys the second."""
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return content[:33] + second + content[33:]


def orientation(number):
    """Exif 2.32, section 4.6.4."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def images():
    gray = Image.fromarray(pixels())
    rows = b"".join(b"\0" + row.tobytes() for row in pixels())
    palette = gray.convert("P")
    coloured = Image.fromarray(pixels() // 255, mode="P")
    coloured.putpalette([255, 0, 0, 0, 0, 255])
    half = gray.convert("LA")
    half.putalpha(Image.fromarray(np.where(np.arange(64) < 32, 255, 100).astype(np.uint8)[None].repeat(64, 0)))
    bomb = PngImagePlugin.PngInfo()
    bomb.add_text("Comment", "0" * 100_000_000, zip=True)
    other = Image.fromarray(255 - pixels())
    sixteen = pixels().astype(">u2")[..., None].repeat(3, 2) * 257
    wide = b"".join(b"\0" + row.tobytes() for row in sixteen)
    whole = png(gray)
    jpeg = io.BytesIO()
    gray.save(jpeg, "JPEG")
    return {
        "images/gray.png": whole,
        "images/one-bit.png": png(gray.convert("1")),
        "images/palette.png": png(palette),
        "images/opaque-alpha.png": png(gray.convert("RGBA")),
        "images/16-bit.png": png(Image.fromarray(pixels().astype(np.uint16) * 257)),
        "images/animated.png": png(gray, save_all=True, append_images=[other]),
        "images/empty.png": b"",
        "images/truncated.png": whole[: len(whole) // 2],
        "images/wrong-checksum.png": whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
        "images/jpeg.png": jpeg.getvalue(),
        "images/pickle.png": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x05false\x85R.",
        "images/signature-only.png": b"\x89PNG\r\n\x1a\n",
        "images/transparent.png": png(half),
        "images/coloured-palette.png": png(coloured),
        "images/16-bit-rgb.png": by_hand(64, 64, chunk(b"IDAT", zlib.compress(wide)), depth=16, colour=2),
        "images/gray-values.png": png(Image.fromarray((pixels() // 2 + 20).astype(np.uint8))),
        "images/small.png": png(gray.resize((32, 32))),
        "images/header-bomb.png": by_hand(100_000, 100_000, chunk(b"IDAT", zlib.compress(b"\0" * 1000))),
        "images/data-bomb.png": by_hand(64, 64, chunk(b"IDAT", zlib.compress(rows + b"\0" * 200_000_000, 9))),
        "images/text-bomb.png": png(gray, pnginfo=bomb),
        "images/second-header-narrow.png": second_header(whole, 1, 64),
        "images/second-header-wide.png": second_header(whole, 13_000, 13_000),
        "images/no-data.png": by_hand(64, 64),
        "images/short-data.png": by_hand(64, 64, chunk(b"IDAT", zlib.compress(rows[:1000]))),
        "images/shown-rotated.png": png(gray, exif=orientation(6)),
        "images/shown-as-it-is.png": png(gray, exif=orientation(1)),
        "images/damaged-exif.png": whole[:33] + chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff") + whole[33:],
        "images/narrow.png": png(gray.crop((0, 0, 32, 64))),
        "images/large.png": png(gray.resize((128, 128))),
        "images/wrong-depth.png": by_hand(64, 64, chunk(b"IDAT", zlib.compress(rows)), depth=3),
    }


# --- tables -------------------------------------------------------------------------------------------------------


def tables():
    (path,) = (HERE / "good").glob("*.csv")
    lines = path.read_text().splitlines()
    cells = [line.split(",") for line in lines]
    header = ["row", *TARGETS]

    def text(rows, separator=",", end="\n"):
        return (end.join(separator.join(row) for row in rows) + end).encode()

    def with_cell(value, row=6, column=1):
        changed = [list(line) for line in cells]
        changed[row][column] = value
        return text(changed)

    def times(factor, rows=range(20), columns=range(1, 10)):
        return [
            [
                repr(factor * float(cell)) if row in rows and column in columns else cell
                for column, cell in enumerate(line)
            ]
            for row, line in enumerate(cells)
        ]

    def family(row):
        return row[0].partition("_")[2].removesuffix(".png")

    images = sorted((HERE / "good").glob("*.png"), key=lambda path: int(path.name.partition("_")[0]))
    named = [[path.name, *row[1:]] for path, row in zip(images, cells, strict=True)]
    comma = [[cell.replace(".", ",") for cell in row] for row in cells]
    return {
        "tables/bom.csv": b"\xef\xbb\xbf" + text(cells),
        "tables/crlf.csv": text(cells, end="\r\n"),
        "tables/cr.csv": text(cells, end="\r"),
        "tables/quoted.csv": text([[f'"{cell}"' for cell in row] for row in cells]),
        "tables/blank-rows-at-the-end.csv": text(cells) + b"\n\n,,,\n",
        "tables/header.csv": text([header, *cells]),
        "tables/header-with-units.csv": text([["row", *(f"{name} [GPa]" for name in TARGETS)], *cells]),
        "tables/spreadsheet.csv": b"\xef\xbb\xbf" + text([[f'"{n}"' for n in header], *cells], end="\r\n"),
        "tables/semicolons.csv": text(cells, separator=";"),
        "tables/semicolons-and-decimal-commas.csv": text(comma, separator=";"),
        "tables/decimal-commas.csv": text(comma),
        "tables/quoted-decimal-commas.csv": text([[f'"{cell}"' for cell in row] for row in comma]),
        "tables/tabs.csv": text(cells, separator="\t"),
        "tables/utf-16.csv": text(cells).decode().encode("utf-16"),
        "tables/blank-row.csv": text([*cells[:5], [], *cells[5:]]),
        "tables/underscores.csv": with_cell("1_00.0"),
        "tables/other-digits.csv": with_cell("١٢٣"),
        "tables/formula.csv": with_cell('"=HYPERLINK(""http://example.org"")"'),
        "tables/markup.csv": with_cell("<script>alert(1)</script>"),
        "tables/terminal.csv": with_cell("\x1b]0;owned\x07"),
        "tables/zero-byte.csv": with_cell("1\x002"),
        "tables/open-quote.csv": with_cell('"12'),
        "tables/short-row.csv": text([*cells[:5], cells[5][:-1], *cells[6:]]),
        "tables/long-row.csv": text([*cells[:5], [*cells[5], "1"], *cells[6:]]),
        "tables/too-few-rows.csv": text(cells[:-1]),
        "tables/too-many-rows.csv": text([*cells, ["21", *cells[0][1:]]]),
        "tables/file-names.csv": text([["file", *TARGETS], *named[::-1]]),
        "tables/file-names-unused-column.csv": text(
            [["row", "File Name", "note", *TARGETS], *(["9", row[0], "x", *row[1:]] for row in named[::-1])]
        ),
        "tables/file-names-twice.csv": text([["file", *TARGETS], *named[:6], [named[5][0], *named[6][1:]], *named[7:]]),
        "tables/file-names-of-others.csv": text([["file", *TARGETS], *(["other.png", *row[1:]] for row in named)]),
        "tables/groups.csv": text([["file", "group", *TARGETS], *([row[0], family(row), *row[1:]] for row in named)]),
        "tables/split.csv": text([["file", "split", *TARGETS], *([row[0], "train", *row[1:]] for row in named)]),
        "tables/other-header.csv": text([["file", "Young's modulus"], *(row[:2] for row in named)]),
        "tables/no-break-space.csv": with_cell("120.5\u00a0"),
        "tables/two-boms.csv": b"\xef\xbb\xbf" * 2 + text(cells),
        "tables/three-rows.csv": text(cells[:3]),
        "tables/tiny.csv": text(times(1e-300)),
        "tables/megapascal.csv": text(times(1000)),
        "tables/shears-doubled.csv": text(times(2, columns=(7, 8, 9))),
        "tables/two-of-twenty-wrong.csv": text(times(1.5, rows=(5, 13))),
        "tables/page.csv": b"<!DOCTYPE html><html><body>Please log in</body></html>\n",
    }


# --- dataset.json -------------------------------------------------------------------------------------------------


def about():
    good = json.loads((HERE / "good" / "dataset.json").read_text())

    def changed(**fields):
        return json.dumps(good | fields).encode()

    weak = [{"young": -70.0, "poisson": 0.33}, {"young": 410.0, "poisson": 0.19}]
    return {
        "about/plain.json": json.dumps({"name": "mine", "unit": "GPa"}).encode(),
        "about/formula.json": changed(name="=1+1"),
        "about/not-json.json": b"name: mine",
        "about/not-text.json": b'{"name": "\xff"}',
        "about/nested.json": b'{"parameters": ' + b'{"a":' * 5_000,
        "about/path.json": changed(name="../../../etc/\u0000passwd"),
        "about/markup.json": changed(name="<script>alert(1)</script>"),
        "about/tex.json": changed(name="$\\frac{1}{0}$"),
        "about/long-name.json": changed(name="x" * 10_000),
        "about/other-unit.json": changed(unit="furlong"),
        "about/few-families.json": changed(families=["disks"]),
        "about/phases-that-are-none.json": changed(phases=weak),
        "about/infinite.json": json.dumps(good).replace("70.0", "1e999").encode(),
    }


# --- records ------------------------------------------------------------------------------------------------------


def records():
    def line(record):
        return msgspec.json.encode(record) + b"\n"

    good, second = a_record(), a_record(a_cell(seed=1))
    schema = b'"schema":4'
    elsewhere = msgspec.structs.replace(ENVIRONMENT, processor="Antikythera")
    polished = msgspec.structs.replace(good, test=msgspec.structs.replace(good.test, skill=0.999))
    other_data = a_record(a_cell(seed=1, data_hash="e" * 64))
    search = Search((Configuration({}, Estimator("ridge")),), 1)
    of_search = a_record(a_cell(architecture=search), searched=Searched((), 0))
    return {
        "records/good.jsonl": line(good) + line(a_failure(a_cell(seed=2))),
        "records/another-machine.jsonl": line(good) + line(a_record(environment=elsewhere)),
        "records/other-data.jsonl": line(good) + line(other_data),
        "records/schema-before.jsonl": line(good).replace(schema, b'"schema":2'),
        "records/torn.jsonl": line(good) + line(second)[:300],
        "records/older.jsonl": line(good).replace(schema, b'"schema":0'),
        "records/newer.jsonl": line(good).replace(schema, b'"schema":5'),
        "records/unknown-field.jsonl": line(good).replace(schema, schema + b',"stars":5'),
        "records/edited-cell.jsonl": line(good).replace(b'"seed":0', b'"seed":7'),
        "records/edited-score.jsonl": line(polished),
        "records/duplicated.jsonl": line(good) + line(second) + line(good),
        "records/not-json.jsonl": line(good) + b"hello\n",
        "records/pickle.jsonl": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x05false\x85R.\n",
        "records/nested.jsonl": b"[" * 5_000 + b"\n",
        "records/blank-line.jsonl": line(good) + b"\n" + line(second),
        "records/markup.jsonl": line(good).replace(b'"data":"elasticity"', b'"data":"<b>elasticity</b>"'),
        "records/path.jsonl": line(good).replace(b'"file":"', b'"file":"../../'),
        "records/other-suite.jsonl": line(a_record(a_cell(suite="polysilicon"))),
        "records/superseded-lie.jsonl": line(polished) + line(msgspec.structs.replace(good, seconds=2.0)),
        "records/duplicated-with-spaces.jsonl": line(good) + line(good).replace(b'"schema":', b'"schema": '),
        "records/empty-search.jsonl": line(of_search).replace(msgspec.json.encode(search.configurations), b"[]"),
        "records/column.jsonl": line(a_record(metrics={"skill": 1.0})),
    }


if __name__ == "__main__":
    main()
