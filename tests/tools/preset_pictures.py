"""Makes the pictures beside the page's presets: `python -m tests.tools.preset_pictures`.

An eye of the cat in scikit-image's photographs (CC0), reduced four times, then brought back with as much new detail as
the preset draws: none that the small picture did not hold, some, and more than the photograph itself has.
"""

from pathlib import Path

from PIL import Image, ImageFilter
from skimage import data

FOLDER = Path(__file__).resolve().parents[2] / "adapters/web/views/static"
SIZE = (168, 126)
BOX = (96, 74, 180, 137)
"""Left, top, right and bottom of the eye in the photograph."""


def main() -> None:
    """Write one small WebP for each preset."""
    photograph = Image.fromarray(data.chelsea()).crop(BOX).resize(SIZE, Image.Resampling.LANCZOS)
    small = photograph.resize((SIZE[0] // 5, SIZE[1] // 5), Image.Resampling.BOX)
    smooth = small.resize(SIZE, Image.Resampling.LANCZOS)
    detailed = photograph.filter(ImageFilter.UnsharpMask(3, 90, 0))
    invented = photograph.filter(ImageFilter.UnsharpMask(4, 260, 0))
    made = {"faithful": smooth, "balanced": Image.blend(smooth, detailed, 0.6), "creative": invented}
    for name, picture in made.items():
        picture.save(FOLDER / f"preset-{name}.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
