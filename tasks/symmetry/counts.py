"""How many affine subspaces the copies of hidden units make, exactly.

G(r, m) counts the ways to copy r units onto m so that each occurs, and T(r, m) those in which
units may also form groups without effect; see `groupings`. Şimşek et al. 2021, arXiv:2105.12221.
Each number comes by several formulas that share no step, so that they check each other. All are
exact integers; m may be in the thousands.

Shape legend: r = units copied, m = units, S = Stirling numbers of the second kind, B = Bell's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate, combinations, pairwise
from itertools import count as naturals
from math import comb, factorial, perm, prod

from flint import fmpz

from schemas.errors import SpecError


def copies(r: int, m: int) -> int:
    """G(r, m) = r! S(m, r): surjections of m units onto r.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    _checked(r, m)
    return factorial(r) * int(fmpz.stirling_s2(m, r))


def copies_by_powers(r: int, m: int) -> int:
    """G(r, m) = Σ_i (−1)^i C(r, i) (r−i)^m, by inclusion and exclusion.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    _checked(r, m)
    return sum((-1) ** i * comb(r, i) * (r - i) ** m for i in range(r + 1))


def copies_by_compositions(r: int, m: int) -> int:
    """G(r, m) = Σ m!/(k_1! … k_r!) over k_t ≥ 1 of sum m: C(m−1, r−1) terms.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    _checked(r, m)
    total = 0
    for cuts in combinations(range(1, m), r - 1):
        parts = [high - low for low, high in pairwise((0, *cuts, m))]
        total += factorial(m) // prod(map(factorial, parts))
    return total


def subspaces(r: int, m: int) -> int:
    """T(r, m) = Σ_u C(m, u) G(r, m−u) B(u), u of the m units being without effect.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    _checked(r, m)
    bell, copied = _bell_numbers(m - r), _copies_up_to(r, m)
    return sum(comb(m, u) * copied[m - u] * bell[u] for u in range(m - r + 1))


def subspaces_by_groups(r: int, m: int) -> int:
    """T(r, m) = Σ_j G(r+j, m)/j!, j being the number of groups without effect.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    _checked(r, m)
    stirling = _stirling_row(m)
    return sum(perm(r + j, r) * stirling[r + j] for j in range(m - r + 1))


def subspaces_by_recurrence(r: int, m: int) -> int:
    """T(r, m) from T(r, m+1) = r T(r−1, m) + (r+1) T(r, m) + T(r+1, m) and T(0, 0) = 1.

    This is the derivative of (eˣ − 1)^r exp(eˣ − 1), whose coefficients T(r, m)/m! are.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    _checked(r, m)
    row = {0: 1}
    for n in range(1, m + 1):
        reach = m - n
        row = {
            k: k * row.get(k - 1, 0) + (k + 1) * row.get(k, 0) + row.get(k + 1, 0)
            for k in range(max(0, r - reach), min(n, r + reach) + 1)
        }
    return row[r]


def subspaces_with_one_more(r: int) -> int:
    """T(r, r+1) = (r+1)! (r+2)/2.

    Raises:
        SpecError: r is below 1.
    """
    _checked(r, r + 1)
    return factorial(r + 1) * (r + 2) // 2


def subspaces_of_layers(taught: Sequence[int], units: Sequence[int]) -> int:
    """Π_l T(r_l, m_l) of a deeper network, for layers of r_l units in m_l.

    Raises:
        SpecError: there are not as many layers in both, or none; a width does not do.
    """
    _layers_checked(taught, units)
    return prod(subspaces(r, m) for r, m in zip(taught, units, strict=True))


def copies_of_layers(narrow: Sequence[int], units: Sequence[int]) -> int:
    """Π_l G(r_l, m_l) of a deeper network, for layers of r_l units in m_l.

    Raises:
        SpecError: there are not as many layers in both, or none; a width does not do.
    """
    _layers_checked(narrow, units)
    return prod(copies(r, m) for r, m in zip(narrow, units, strict=True))


def critical_to_global(r: int, k: int, m: int) -> Fraction:
    """G(r−k, m)/T(r, m): subspaces of a critical point of r−k units for each of global minima.

    Raises:
        SpecError: r−k is below 1, or m below r.
    """
    return Fraction(copies(r - k, m), subspaces(r, m))


def mild_limit(r: int, k: int, h: int) -> Fraction:
    """What G(r−k, r+h)/T(r, r+h) comes near as r grows: r^k / (2^k (h+1)…(h+k))."""
    return Fraction(r**k * factorial(h), 2**k * factorial(h + k))


def all_critical_to_global(r: int, m: int) -> Fraction:
    """Σ_{k≥1} G(r−k, m)/T(r, m): subspaces of critical points of each smaller width together.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    _checked(r, m)
    return Fraction(_critical(r, m), subspaces(r, m))


def first_with_fewer_critical(r: int, count: Callable[[int, int], int] = subspaces) -> int:
    """The least m ≥ r where Σ_{k≥1} G(r−k, m) < T(r, m), or another count of r and m.

    Raises:
        SpecError: r is below 1.
    """
    return next(m for m in naturals(r) if _critical(r, m) < count(r, m))


def _critical(r: int, m: int) -> int:
    return sum(copies(narrow, m) for narrow in range(1, r))


def _checked(r: int, m: int) -> None:
    if r < 1:
        raise SpecError(f"r: got {r}; expected 1 unit or more; give a positive number")
    if m < r:
        raise SpecError(
            f"m: got {m}; expected at least the {r} units that are copied; give {r} or more"
        )


def _layers_checked(taught: Sequence[int], units: Sequence[int]) -> None:
    if not taught or len(taught) != len(units):
        raise SpecError(
            f"widths: got {len(taught)} and {len(units)} hidden layers; expected as many in both, "
            "at least one; give each layer both of its widths"
        )


def _copies_up_to(r: int, m: int) -> list[int]:
    """G(r, n) for n = 0, …, m, from G(k, n+1) = k (G(k, n) + G(k−1, n))."""
    row, found = {0: 1}, []
    for n in range(m + 1):
        found.append(row.get(r, 0))
        needed = range(max(0, r - (m - n) + 1), min(n + 1, r) + 1)
        row = {k: k * (row.get(k, 0) + row.get(k - 1, 0)) for k in needed}
    return found


def _bell_numbers(last: int) -> list[int]:
    """B(0), …, B(last), by Bell's triangle."""
    row, found = [1], [1]
    for _ in range(last):
        row = list(accumulate(row, initial=row[-1]))
        found.append(row[0])
    return found


def _stirling_row(m: int) -> list[int]:
    """S(m, k) for k = 0, …, m, from S(n+1, k) = k S(n, k) + S(n, k−1)."""
    row = [1]
    for _ in range(m):
        row = [0, *(k * row[k] + row[k - 1] for k in range(1, len(row))), row[-1]]
    return row
