"""Editing states that are sets of points, by a network trained with noise that suits them.

Rows of such a state are in no order, and each of its rows of noise belongs to one place of the set
(`multigen_models.shapes.transport`). So a row cannot be told beforehand what it will hold: it is asked. All tensors are
(b, n, d), the first three columns a point's place.
"""

from dataclasses import replace

from torch import Tensor

from multigen.denoise import Sigma
from multigen.edit import Edit, Plan
from multigen_models.shapes.transport import assign, nearest, rearranged


def pair(plan: Plan, /) -> Plan:
    """The same plan with its rows of noise in the order that suits the sample it starts from.

    An edit to apply after `multigen.edit.variation`. With noise in another order the network takes the sample, spread
    less by it than those it knows, for a smaller one.
    """
    return replace(plan, unit=rearranged(plan.unit, assign(plan.unit[:, :, :3], plan.origin[:, :, :3])))


def contain(held: Tensor, /) -> Edit:
    """Make a set that contains the points `held` (k, d), k <= n.

    The denoiser becomes D' = D with the rows nearest to the held points replaced by them, chosen anew at every call: a
    projection onto the sets that contain them. It leaves to the network how many rows go where, while rows that are
    fixed beforehand (`multigen.edit.inpaint`) leave as many of the others to go to the same place.
    """

    def edit(plan: Plan, /) -> Plan:
        points = held.to(plan.origin)

        def denoise(x: Tensor, sigma: Sigma, /) -> Tensor:
            d = plan.denoise(x, sigma).clone()
            for cloud in d:
                cloud[nearest(points[:, :3], cloud[:, :3])] = points
            return d

        return replace(plan, denoise=denoise)

    return edit
