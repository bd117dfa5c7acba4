"""Disjoint sets of names (union-find), for groups that are joined by links in a chain."""


class Sets:
    """Disjoint sets of strings, with path halving; a set's name is its smallest member."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, item: str) -> str:
        """The name of the item's set; an item not seen before is its own set."""
        parent = self._parent
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def union(self, one: str, other: str) -> None:
        """Joins two sets."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first
