#!/usr/bin/env python3
"""Writes common/src/data/testdata: what Pillow makes of images given by a formula, for tests to compare with.

    pip install pillow numpy; scripts/image_fixtures.py

torchvision's Resize and CenterCrop of a PIL image are the few lines below around Pillow's resize and crop
(torchvision/transforms/functional.py). Files: `resize-WIDTHxHEIGHT-RESIZE-CROP.rgb` are rows of RGB bytes;
`*.jpg` come with the `.rgb` that Pillow decodes them to, other images with a `.rgb` after their suffix. Made with Pillow 13.0 and libjpeg-turbo 3.2.
"""

from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent.parent / "common/src/data/testdata"


def formula(width, height):
    """Slow waves in one corner, the highest frequencies in the other. The tests have the same line in Rust."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return Image.fromarray((((c + 1) * x * x + (3 - c) * y * y + 5 * x * y) // 8 % 256).astype(np.uint8))


def resize(image, size, filter=Image.BILINEAR):
    width, height = image.size
    if isinstance(size, tuple):
        return image.resize((size[1], size[0]), filter)
    short, long = min(width, height), max(width, height)
    if short == size:
        return image
    longer = int(size * long / short)
    return image.resize((size, longer) if width <= height else (longer, size), filter)


def center_crop(image, size):
    width, height = image.size
    if size > width or size > height:
        left, top = max(0, (size - width) // 2), max(0, (size - height) // 2)
        padded = Image.new("RGB", (max(width, size), max(height, size)))
        padded.paste(image, (left, top))
        image, (width, height) = padded, padded.size
    top, left = int(round((height - size) / 2.0)), int(round((width - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def write(name, image):
    (OUT / name).write_bytes(np.asarray(image.convert("RGB")).tobytes())


OUT.mkdir(exist_ok=True)
for width, height, size, crop in [(97, 61, 32, 27), (61, 97, 40, 33), (7, 5, 20, 24), (30, 31, 30, 30)]:
    write(f"resize-{width}x{height}-{size}-{crop}.rgb", center_crop(resize(formula(width, height), size), crop))
for name, filter, width, height, size in [
    ("bicubic-97x61-32", Image.BICUBIC, 97, 61, 32),
    ("bicubic-7x5-20", Image.BICUBIC, 7, 5, 20),
    ("bicubic-61x97-25x48", Image.BICUBIC, 61, 97, (25, 48)),
    ("bilinear-61x97-25x48", Image.BILINEAR, 61, 97, (25, 48)),
    ("bilinear-7x5-5x12", Image.BILINEAR, 7, 5, (5, 12)),
]:
    write(f"{name}.rgb", resize(formula(width, height), size, filter))
for name, mode, options in [
    ("baseline-420", "RGB", {"subsampling": 2}),
    ("progressive-420", "RGB", {"subsampling": 2, "progressive": True}),
    ("baseline-444", "RGB", {"subsampling": 0}),
    ("cmyk", "CMYK", {}),
]:
    path = OUT / f"{name}.jpg"
    # The smooth corner alone, enlarged: what photographs look like at this scale.
    formula(10, 8).resize((37, 29), Image.BICUBIC).convert(mode).save(path, quality=90, **options)
    write(f"{name}.rgb", Image.open(path))

smooth = formula(10, 8).resize((37, 29), Image.BICUBIC)
alpha = smooth.convert("RGBA")
alpha.putalpha(smooth.convert("L"))
for name, image, options in [
    ("colour.bmp", smooth, {}),
    ("palette.bmp", smooth.quantize(64), {}),
    ("colour.ppm", smooth, {}),
    ("grey.pgm", smooth.convert("L"), {}),
    ("lzw.tif", smooth, {"compression": "tiff_lzw"}),
    ("grey.tiff", smooth.convert("L"), {}),
    ("lossless.webp", smooth, {"lossless": True}),
    ("lossy.webp", smooth, {"quality": 80}),
    ("alpha.webp", alpha, {"lossless": True, "exact": True}),
]:
    image.save(OUT / name, **options)
    write(f"{name}.rgb", Image.open(OUT / name))
# Forms that Pillow reads but does not write: numbers as text, and a largest value below 255.
text = "P3 37 29 255\n" + "\n".join(map(str, np.asarray(smooth).ravel())) + "\n"
(OUT / "text.ppm").write_text(text)
hundred = (np.asarray(smooth.convert("L")).astype(int) * 100 // 255).astype(np.uint8)
(OUT / "hundred.pgm").write_bytes(b"P5\n37 29\n100\n" + hundred.tobytes())
for name in ["text.ppm", "hundred.pgm"]:
    write(f"{name}.rgb", Image.open(OUT / name))
