"""A decoded frame of any format to upright sRGB."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_UNSPECIFIED = 2  # ITU-T H.273, matrix coefficients
_HD_HEIGHT = 720

_WHITE = 255
_TIME_BASE = Fraction(1, 1000)  # a filter needs one; the time that it carries is not used


class Converter:
    """Frames to (3, height, width) uint8 in sRGB, on white.

    size: (width, height) of what comes out.
    """

    def __init__(self, size: tuple[int, int], /) -> None:
        self.size = size
        self._kind: Any = None
        self._graph: Any = None

    def __call__(self, frame: Any, /) -> np.ndarray:
        import numpy as np

        kind = (frame.format.name, frame.width, frame.height, int(frame.colorspace), int(frame.color_range))
        if kind != self._kind:  # a stream may change its size on the way
            self._kind, self._graph = kind, _graph(frame, self.size)
        frame.time_base = _TIME_BASE
        self._graph.push(frame)
        planes = _planes(self._graph.pull())
        rgb: np.ndarray = np.stack([planes[k] for k in (2, 0, 1)])
        return on_white(rgb, planes[3]) if len(planes) == 4 else rgb


def _graph(frame: Any, size: tuple[int, int]) -> Any:
    """A filter to planes of green, blue, red, and alpha where the format has it; the range is that of the frame."""
    import av

    shape = frame.format
    alpha = shape.has_palette or any(component.is_alpha for component in shape.components)
    matrix = "auto"
    if int(frame.colorspace) == _UNSPECIFIED:  # what browsers take it for
        matrix = "bt709" if frame.height >= _HD_HEIGHT else "bt601"
    how = "area" if size[0] * size[1] < frame.width * frame.height else "bicubic"
    # By default chroma is taken from the nearest sample; accurate_rnd has it interpolated, too.
    scale = f"{size[0]}:{size[1]}:flags={how}+accurate_rnd:in_color_matrix={matrix}"
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(width=frame.width, height=frame.height, format=shape, time_base=_TIME_BASE),
        graph.add("scale", scale),
        graph.add("format", f"pix_fmts={'gbrap' if alpha else 'gbrp'}"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    return graph


def _planes(frame: Any) -> list[np.ndarray]:
    """(height, width) uint8 each."""
    import numpy as np

    rows = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    return [row[: frame.height, : frame.width] for row in rows]


def on_white(rgb: np.ndarray, alpha: np.ndarray, /) -> np.ndarray:
    """(3, h, w) on white by its straight alpha (h, w), uint8."""
    import numpy as np

    share = alpha.astype(np.uint16)
    laid: np.ndarray = ((rgb * share + _WHITE * (255 - share) + 127) // 255).astype(np.uint8)
    return laid


@dataclass(frozen=True)
class Turn:
    """How a stored frame is turned to be upright: transposed, then mirrored along its rows and its columns."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: Any, /) -> Turn:
        """That of a frame's display matrix: x' = a x + c y, y' = b x + d y, in nine 16.16 integers a b u c d v x y w.

        The quarter turn that is nearest; without a matrix the frame is upright.
        """
        import numpy as np

        for data in frame.side_data:
            if data.type.name == "DISPLAYMATRIX":
                a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
                if abs(b) + abs(c) > abs(a) + abs(d):
                    return cls(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
                return cls(mirror_x=a < 0, mirror_y=d < 0)
        return cls()

    def size(self, size: tuple[int, int], /) -> tuple[int, int]:
        """(width, height) when it is turned."""
        return (size[1], size[0]) if self.transpose else size

    def __call__(self, pixels: np.ndarray, /) -> np.ndarray:
        """(3, h, w) turned."""
        if self.transpose:
            pixels = pixels.swapaxes(1, 2)
        return pixels[:, :: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]
