"""The topology as a picture: Mermaid for READMEs, SVG for everything else. Both are made from the specs, so they can't be out of date."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from html import escape

from stack.rehearsal import Part, Topology

_BOX_WIDTH, _BOX_HEIGHT = 176, 52
_COLUMN, _ROW, _MARGIN = 270, 96, 30
_STYLE = (
    "text{font:13px sans-serif;fill:#1f2937}.small{font-size:11px;fill:#4b5563}.box{fill:#eef6ff;stroke:#2563eb}"
    ".public{fill:#ecfdf5;stroke:#059669}line{stroke:#6b7280}"
)
_ARROW_HEAD = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>'
)


def mermaid(topology: Topology) -> str:
    """A flowchart: an arrow from each service to what it needs, and the volumes that keep its data."""
    lines = ["flowchart LR", '    subgraph net["app-network"]']
    for part in topology.parts:
        words = "<br/>".join([part.spec.name, *_ports(part)])
        lines.append(f'        {_id(part)}["{words}"]')
    lines.append("    end")
    lines += [f"    {_id(part)} --> {need.replace('-', '_')}" for part in topology.parts for need in sorted(part.needs)]
    volumes = [(part, str(name)) for part in topology.parts for name in part.spec.volumes.values()]
    lines += [f'    {_id(part)} --- {name}_v[("{name}")]' for part, name in volumes]
    return "\n".join(lines) + "\n"


def svg(topology: Topology) -> str:
    """The same as a picture of its own: what is needed stands to the right of what needs it."""
    places = _places(topology)
    width = max(x for x, _ in places.values()) + _BOX_WIDTH + _MARGIN
    height = max(y for _, y in places.values()) + _BOX_HEIGHT + _MARGIN
    title = f"{topology.naming.project}: services, what they need, and where their data is kept"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        _ARROW_HEAD,
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_arrows(topology, places),
        *(line for part in topology.parts for line in _box(part, *places[part.spec.name])),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _places(topology: Topology) -> dict[str, tuple[int, int]]:
    """The upper left corner of each box: one column for each level of need, centred."""
    sorter = TopologicalSorter({str(part.spec.name): part.needs for part in topology.parts})
    sorter.prepare()
    levels: list[list[str]] = []
    while sorter.is_active():
        level = sorted(sorter.get_ready())
        levels.append(level)
        sorter.done(*level)
    tallest = max(len(level) for level in levels)
    places: dict[str, tuple[int, int]] = {}
    for column, level in enumerate(reversed(levels)):
        top = _MARGIN + (tallest - len(level)) * _ROW // 2
        places |= {name: (_MARGIN + column * _COLUMN, top + row * _ROW) for row, name in enumerate(level)}
    return places


def _arrows(topology: Topology, places: dict[str, tuple[int, int]]) -> Iterator[str]:
    for part in topology.parts:
        x, y = places[part.spec.name]
        for need in sorted(part.needs):
            to_x, to_y = places[need]
            yield (
                f'<line x1="{x + _BOX_WIDTH}" y1="{y + _BOX_HEIGHT // 2}" x2="{to_x}" y2="{to_y + _BOX_HEIGHT // 2}" marker-end="url(#a)"/>'
            )


def _box(part: Part, x: int, y: int) -> Iterator[str]:
    middle = x + _BOX_WIDTH // 2
    kind = "public" if part.spec.ports else "box"
    yield f'<rect class="{kind}" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6"/>'
    name = " ".join([part.spec.name, *_ports(part)])
    yield f'<text x="{middle}" y="{y + 22}" text-anchor="middle">{escape(name)}</text>'
    volumes = ", ".join(part.spec.volumes.values())
    yield f'<text class="small" x="{middle}" y="{y + 40}" text-anchor="middle">{escape(volumes)}</text>'


def _id(part: Part) -> str:
    return part.spec.name.replace("-", "_")


def _ports(part: Part) -> list[str]:
    """The host ports, of the first replica."""
    return [f":{port.host}" for port in part.spec.ports]
