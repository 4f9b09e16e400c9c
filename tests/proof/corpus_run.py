"""Proving the corpus: between a real API server and a real S3 server, first without and then with kept hashes."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.kubernetes.resources import CONFIG_MAPS
from app.proof.examine import rehashed
from app.proof.prove import prove_backup
from tests.proof.backups import Shop, good_backup, upload
from tests.proof.corpus import Content, Damage, Good

#: Objects of each backup.
OBJECTS = 6


@dataclass
class Figures:
    """What was tried and found, by kind; and what went wrong, in words that a seed repeats."""

    tried: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    def note(self, kind: str, seed: int, *, found: bool) -> None:
        """One more of a kind."""
        self.tried[kind] += 1
        self.found[kind] += found
        if not found:
            self.misses.append(f"{kind}, seed {seed}")

    def __str__(self) -> str:
        """Kind by kind, and the sum."""
        lines = [f"{self.found[kind]:6} of {count:6}  {kind}" for kind, count in self.tried.items()]
        return "\n".join([*lines, f"{self.found.total():6} of {self.tried.total():6}  in all", *self.misses])


async def stored(shop: Shop, content: Content) -> None:
    """Nothing in the bucket but this."""
    await shop.store.delete([each.key for each in await shop.store.list_objects("backups/")])
    await upload(shop.store, content)


async def is_proven(shop: Shop) -> bool:
    """A first proof of what lies there, by the inventory."""
    proof, _ = await prove_backup(shop.request(), shop.kube, shop.store)
    return proof.verdict == "proven"


async def damaged(shop: Shop, kinds: Iterable[Damage], seeds: range, *, kept_hashes: bool) -> Figures:
    """Every kind with every seed; found by a first proof, or by one that has the hashes of the good backup."""
    figures = Figures()
    objects = await shop.objects()
    good = Good.of(objects, good_backup(objects))
    await stored(shop, good.content)
    kept, _ = await prove_backup(shop.request(), shop.kube, shop.store)
    assert kept.verdict == "proven", kept.findings
    for kind in kinds:
        for seed in seeds:
            content = kind(good, random.Random(seed))  # noqa: S311 - it has to repeat
            await stored(shop, content)
            whole = not (await rehashed(kept, shop.store)).findings if kept_hashes else await is_proven(shop)
            figures.note(kind.__name__.replace("_", " "), seed, found=not whole)
    return figures


async def good_ones(shop: Shop, seeds: range) -> Figures:
    """Good backups, whose objects change between inventory and backup, and between backup and proof."""
    figures = Figures()
    for seed in seeds:
        dice = random.Random(seed)  # noqa: S311 - it has to repeat
        await shop.take_stock()
        await _change(shop, dice)
        content = good_backup(await shop.objects())
        await _change(shop, dice)
        await stored(shop, content)
        figures.note("good backups of a changing cluster", seed, found=await is_proven(shop))
    return figures


async def _change(shop: Shop, dice: random.Random) -> None:
    """A few objects made, changed, deleted, or deleted and made anew."""
    found = (await shop.kube.list(CONFIG_MAPS, shop.namespace)).items
    names = sorted({item["metadata"]["name"] for item in found} - {"kube-root-ca.crt"})
    for name in dice.sample(names, min(2, len(names))):
        match dice.choice(["change", "delete", "anew"]):
            case "change":
                patch = {"data": {"key": str(dice.random())}}
                await shop.kube.merge_patch(CONFIG_MAPS, name, patch, shop.namespace)
            case "delete":
                await shop.kube.delete(CONFIG_MAPS, name, shop.namespace)
            case "anew":
                await shop.kube.delete(CONFIG_MAPS, name, shop.namespace)
                await shop.add(name)
    if len(names) < OBJECTS:
        await shop.add(f"made-{dice.getrandbits(48):x}")
