"""The expected loss of ReLU students and teachers in closed form, with its first two derivatives.

Safran & Shamir 2018, arXiv:1712.08968; the expectations are the arc-cosine kernel of degree 1, Cho
& Saul 2009, "Kernel methods for deep learning", NIPS 22.
Shape legend: P = points, n = students, k = teachers, d = inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tasks.arccosine import excess

_Floats: TypeAlias = npt.NDArray[np.floating[Any]]

_NEAR = 0.99
"""A cosine beyond which the sine is not taken from it, for it would lose its digits."""
_PAIRS = 50_000
"""Pairs that are in work at a time: the memory of more is asked from the system at each step."""


@dataclass(frozen=True)
class PopulationLoss:
    """F(W) = ½ E (Σ_i relu(w_i·x) − Σ_j relu(v_j·x))², x ~ N(0, I_d).

    Points are the rows w_1 … w_n one after another, (P, n·d); the bits of a point's value do not
    depend on its place among them. With σ = 1 for students and −1 for teachers, u_j any of both and
    θ_ij the angle between w_i and u_j,
    ∇_i F = (1/2π) Σ_j σ_j (‖u_j‖ sin θ_ij ŵ_i + (π − θ_ij) u_j).

    Where neurons are parallel or opposite the gradient is exact, and the Hessian is the limit. A
    neuron w = 0 has no gradient: given is that with θ = π/2 to all others, the mean of the limits
    from opposite sides.

    Attributes:
        teacher: V, (k, d), without zero rows.
    """

    teacher: Tensor

    def __call__(self, theta: Tensor) -> Tensor:
        """Losses (P,), in the dtype of the points; differentiable twice."""
        students, everyone = self._neurons(theta)
        norms = everyone.norm(dim=2)
        units = everyone / _positive(norms)[:, :, None]
        along = _aligned(students) @ _aligned(units).transpose(1, 2)
        squared = students.square().sum(dim=2)[:, :, None] - along.square()
        near = _near(along.detach() / _positive(norms)[:, : students.shape[1], None])
        p, i, j = near
        beside = students[p, i] - along[near][:, None] * units[p, j]
        squared = squared.index_put(near, beside.square().sum(dim=1))
        # The root has no derivative at 0, where it is not needed: every term is flat in it there.
        aside = squared > 0
        across = torch.where(aside, torch.where(aside, squared, 1.0).sqrt(), 0.0)
        shared = norms[:, None, :] * (excess(across, along) + math.pi * along) / (2 * math.pi)
        return self._loss(shared)

    def slopes(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Losses (P,) and gradients (P, n·d).

        On the CPU by NumPy, whose arc cosine and search for near pairs are several times as fast.
        """
        if theta.device.type != "cpu":
            return self._differentiated(theta)
        students = theta.detach().numpy().reshape(len(theta), -1, self.teacher.shape[1])
        teacher = self.teacher.to(theta).numpy()
        together = max(1, _PAIRS // (students.shape[1] * (students.shape[1] + len(teacher))))
        starts = range(0, max(len(students), 1), together)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            blocks = [_slopes(students[start : start + together], teacher) for start in starts]
        losses, slopes = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return torch.from_numpy(losses + self._constant), torch.from_numpy(slopes)

    def _differentiated(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        theta = theta.detach().requires_grad_()
        losses = self(theta)
        (slopes,) = torch.autograd.grad(losses.sum(), theta)
        return losses.detach(), slopes

    def hessians(self, theta: Tensor) -> Tensor:
        """Hessians (P, n·d, n·d)."""
        students, everyone = self._neurons(theta)
        (count, n, d), eye = students.shape, torch.eye(students.shape[2]).to(theta)
        norms, units, cosine, sine = _angles(everyone, n)
        own = units[:, :n]
        # Of û_j what is orthogonal to ŵ_i, as a unit vector. Where they are parallel it is
        # rounding, and a sine of 0 stands before it.
        beside = units[:, None] - cosine[..., None] * own[:, :, None]
        beside = beside / _positive(beside.norm(dim=3, keepdim=True))
        square = torch.einsum("pia,pib->piab", own, own)
        m = beside[:, :, :n]
        c, s = (x[:, :, :n, None, None] for x in (cosine, sine))
        turned = torch.einsum("pija,pib->pijab", m, own)
        blocks = s.square() * (turned + turned.transpose(3, 4)) + torch.atan2(s, -c) * eye
        blocks += c * s * (square[:, :, None] - torch.einsum("pija,pijb->pijab", m, m))
        bend = self._signs(students) * sine * norms[:, None] / _positive(norms[:, :n, None])
        diagonal = bend.sum(dim=2)[..., None, None] * (eye - square) + math.pi * eye
        diagonal += torch.einsum("pij,pija,pijb->piab", bend, beside, beside)
        here = torch.arange(n, device=theta.device)
        blocks[:, here, here] = diagonal
        return blocks.permute(0, 1, 3, 2, 4).reshape(count, n * d, n * d) / (2 * math.pi)

    def _neurons(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Students (P, n, d), and with the teachers after them (P, n+k, d)."""
        students = theta.reshape(len(theta), -1, self.teacher.shape[1])
        teachers = self.teacher.to(theta).expand(len(theta), -1, -1)
        return students, torch.cat([students, teachers], dim=1)

    def _signs(self, students: Tensor) -> Tensor:
        return _by_kind(
            students.shape[1], len(self.teacher), 1.0, -1.0, students.dtype, students.device
        )

    def _loss(self, shared: Tensor) -> Tensor:
        """Losses (P,) from what students share with everyone, (P, n, n+k)."""
        n, k = shared.shape[1], len(self.teacher)
        weights = _by_kind(n, k, 0.5, -1.0, shared.dtype, shared.device)
        return (shared * weights).flatten(1).sum(dim=1) + self._constant

    @cached_property
    def _constant(self) -> float:
        """½ E (Σ_j relu(v_j·x))²."""
        teacher = self.teacher.double()[None]
        norms, _, cosine, sine = _angles(teacher, len(self.teacher))
        shared = sine + torch.atan2(sine, -cosine) * cosine
        return float((norms[:, :, None] * norms[:, None] * shared).sum() / (4 * math.pi))


def _by_kind(
    n: int, k: int, student: float, teacher: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """One number for each student and another for each teacher, (n+k,)."""
    return torch.tensor([student] * n + [teacher] * k, dtype=dtype, device=device)


def _positive(norms: Tensor) -> Tensor:
    """Norms to divide by: zero is 1."""
    return torch.where(norms > 0, norms, 1.0)


def _aligned(vectors: Tensor) -> Tensor:
    """Vectors (P, m, d), their rows filled up with zeros to 64 bytes.

    MKL rounds by where in memory a matrix begins, which otherwise depends on the point's place.
    """
    return functional.pad(vectors, (0, -vectors.shape[2] % (64 // vectors.element_size())))


def _near(cosine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of the points, students and neurons that are nearly parallel or opposite."""
    p, i, j = (cosine.abs() > _NEAR).nonzero(as_tuple=True)
    return p, i, j


def _slopes(students: _Floats, teacher: _Floats) -> tuple[_Floats, _Floats]:
    """Losses (P,), less their constant, and gradients (P, n·d) of students (P, n, d).

    Written in place where it can be: new memory costs more than most operations.
    """
    count, n, _ = students.shape
    own, others = (np.sqrt(np.einsum("...d,...d->...", w, w)) for w in (students, teacher))
    least = np.where(own > 0, own, 1)
    units = students / least[:, :, None]
    known = teacher / others[:, None]
    # Of the supplements π − θ, which are what stands in the gradient.
    cosine = np.empty((count, n, n + len(teacher)), students.dtype)
    np.matmul(-units, units.transpose(0, 2, 1), out=cosine[:, :, :n])
    np.matmul(-units, known.T, out=cosine[:, :, n:])
    sine = np.multiply(cosine, cosine)
    np.subtract(1, sine, out=sine)
    # A neuron is parallel to itself.
    itself = np.einsum("pii->pi", sine[:, :, :n])
    itself[...] = 1
    near = np.flatnonzero(sine < 1 - _NEAR**2)
    np.sqrt(sine, out=sine)
    itself[...] = 0
    supplement = np.arccos(cosine)
    np.einsum("pii->pi", supplement[:, :, :n])[...] = math.pi
    if near.size:
        p, i, j = np.unravel_index(near, cosine.shape)
        beside = units[p, np.minimum(j, n - 1)]
        beside[j >= n] = known[j[j >= n] - n]
        beside += cosine.flat[near][:, None] * units[p, i]
        sine.flat[near] = np.sqrt(np.einsum("md,md->m", beside, beside))
        supplement.flat[near] = np.arctan2(sine.flat[near], cosine.flat[near])
    norms = np.concatenate([own, np.broadcast_to(-others, (count, len(others)))], axis=1)
    pull = np.einsum("pij,pj->pi", sine, norms)
    slopes = supplement[:, :, :n] @ students - supplement[:, :, n:] @ teacher
    slopes += (pull / least)[:, :, None] * students
    np.multiply(cosine, supplement, out=cosine)
    np.subtract(sine, cosine, out=sine)
    norms[:, :n] /= 2
    shared = np.einsum("pij,pj->pi", sine, norms)
    losses = np.einsum("pi,pi->p", shared, own)
    slopes /= 2 * math.pi
    return losses / (2 * math.pi), slopes.reshape(count, -1)


def _angles(everyone: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Norms (P, m), unit vectors (P, m, d), and of the angles that the first n neurons make.

    The last two are cosines and sines (P, n, m); `everyone` is (P, m, d).
    """
    norms = everyone.norm(dim=2)
    units = everyone / _positive(norms)[:, :, None]
    cosine = torch.bmm(units[:, :n], units.transpose(1, 2))
    sine = (1 - cosine.square()).clamp_(min=0).sqrt_()
    near = _near(cosine)
    p, i, j = near
    sine[near] = (units[p, j] - cosine[near][:, None] * units[p, i]).norm(dim=1)
    return norms, units, cosine, sine
