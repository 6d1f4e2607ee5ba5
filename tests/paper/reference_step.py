"""One training step of the proposed method, plain and slow: the truth that the fast one must meet.

Straight from equations 1 to 12 and tables 2 to 9: every image set goes through every network by
itself, rows and columns are repeated before they are convolved, each norm is written out. It reads
a method's state_dict and nothing else of the package.
"""

import torch
from torch.nn import functional as F

RESIDUAL = "generator.residual_decoder"  # the one network without short skips


class Step:
    """The first step of a training.

    Args:
        state: the method's state_dict in float64.
        weights: of equation 7.
        unique: channels of the unique code.
        long_skip: of the decoders.
        domain_aware: discriminators also see real images of the other domain.
    """

    def __init__(self, state, *, weights, unique, long_skip, domain_aware=False):
        self.weights, self.domain_aware = weights, domain_aware
        self.unique, self.long_skip = unique, long_skip
        self.uv, self.p = {}, {}
        for name, tensor in state.items():
            if name.endswith((".u", ".v")):
                continue
            self.p[name] = tensor.detach().contiguous().clone().requires_grad_()
            stem = name.removesuffix(".weight")
            if f"{stem}.u" in state:
                self.uv[stem] = self.power_iteration(tensor, state[f"{stem}.u"], state[f"{stem}.v"])
        # What convolves: normalised where there are u and v.
        self.w = {stem: self.normalised(stem) for stem in self.uv}

    @staticmethod
    def power_iteration(weight, u, v):
        # v is kept in the order in which the weight lies in memory.
        order = (0, 1, 2, 3) if weight.is_contiguous() else (0, 2, 3, 1)
        matrix = weight.permute(order).reshape(len(weight), -1)
        u = matrix @ v
        u = u / u.norm()
        v = matrix.T @ u
        v = v / v.norm()
        rows = v.view(1, *weight.permute(order).shape[1:])
        back = (0, 1, 2, 3) if weight.is_contiguous() else (0, 3, 1, 2)
        return u, v, rows.permute(back).reshape(-1)

    def normalised(self, stem):
        u, _, v = self.uv[stem]
        weight = self.p[f"{stem}.weight"]
        return weight / (u @ weight.flatten(1) @ v)

    def conv(self, x, stem, stride=1, pad=(0, 0)):
        weight = self.w.get(stem, self.p[f"{stem}.weight"])
        before, after = pad
        if before or after:
            x = F.pad(x, (before, after, before, after), mode="reflect")
        return F.conv2d(x, weight, self.p[f"{stem}.bias"], stride=stride)

    def same(self, x, stem):
        radius = self.p[f"{stem}.weight"].shape[-1] // 2
        return self.conv(x, stem, pad=(radius, radius))

    def children(self, stem):
        i = 0
        while any(name.startswith(f"{stem}.{i}.") for name in self.p):
            yield f"{stem}.{i}"
            i += 1

    # Networks.

    def encode(self, x):
        E = "generator.encoder"
        x, skips = self.same(x, f"{E}.first"), []
        for block in self.children(f"{E}.blocks"):
            skip = instance_norm(x)
            skips.append(skip)
            main = self.conv(skip.relu(), f"{block}.convolution", stride=2, pad=(1, 1))
            x = main + self.conv(x, f"{block}.short_skip", stride=2)
        code = instance_norm(x).relu()
        return code[:, : -self.unique], code[:, -self.unique :], skips

    def trunk(self, stem, code, skips, norms):
        deepest, *rest = reversed(skips)
        x = self.same(repeated(code, deepest), f"{stem}.trunk.first")
        x = self.merge(x, deepest, f"{stem}.trunk.long_skips.0")
        blocks = self.children(f"{stem}.trunk.blocks")
        for i, (block, skip) in enumerate(zip(blocks, rest, strict=True)):
            y = self.same(repeated(norms[i](x).relu(), skip), f"{block}.convolution")
            if stem != RESIDUAL:
                fits = f"{block}.short_skip.weight" not in self.p
                y = y + repeated(x if fits else self.conv(x, f"{block}.short_skip"), skip)
            x = self.merge(y, skip, f"{stem}.trunk.long_skips.{i + 1}")
        return norms[-1](x).relu()

    def merge(self, x, skip, stem):
        if self.long_skip == "compress":
            return torch.cat([x, self.conv(skip, f"{stem}.compress")], 1)
        if self.long_skip == "concat":
            return torch.cat([x, skip], 1)
        return x + skip if self.long_skip == "sum" else x

    def layer_norms(self, stem):
        return [
            lambda x, norm=norm: layer_norm(x, self.p[f"{norm}.gain"], self.p[f"{norm}.bias"])
            for norm in self.children(stem)
        ]

    def decode(self, stem, code, skips):
        features = self.trunk(stem, code, skips, self.layer_norms(f"{stem}.norms"))
        return self.same(features, f"{stem}.last")

    def common(self, c, skips):
        return self.decode("generator.common_decoder", c, skips).tanh()

    def residual(self, c, u, skips):
        return self.decode(RESIDUAL, torch.cat([c, u], 1), skips).tanh()

    def segment(self, c, u, skips):
        code, R = torch.cat([c, u], 1), RESIDUAL
        if "generator.segmentation_decoder.last.weight" in self.p:
            return self.decode("generator.segmentation_decoder", code, skips).sigmoid()
        if f"{R}.segmentation_norms.mlp.1.weight" not in self.p:
            norms = self.layer_norms(f"{R}.segmentation_norms.norms")
        else:
            channels = [len(self.p[f"{R}.norms.{i}.gain"]) for i in range(len(skips))]
            norms = self.adaptive_norms(f"{R}.segmentation_norms.mlp", code, channels)
        return self.conv(self.trunk(R, code, skips, norms), f"{R}.segmentation_head").sigmoid()

    def adaptive_norms(self, stem, code, channels):
        h = code.flatten(1)
        for i in (1, 3, 5, 7):
            h = h @ self.p[f"{stem}.{i}.weight"].T + self.p[f"{stem}.{i}.bias"]
            h = h.relu() if i < 7 else h
        gains, biases = h.chunk(2, dim=1)
        return [
            lambda x, g=g, b=b: (1 + g)[..., None, None] * instance_norm(x) + b[..., None, None]
            for g, b in zip(gains.split(channels, 1), biases.split(channels, 1), strict=True)
        ]

    def judge(self, domain, image):
        scores = []
        for i, scale in enumerate(self.children(f"discriminators.{domain}.scales")):
            if i > 0:
                image = halved(image)
            x = self.conv(image, f"{scale}.first", pad=(1, 2))
            for j, convolution in enumerate(self.children(f"{scale}.convolutions")):
                norm = f"{scale}.norms.{j}"
                x = layer_norm(x, self.p[f"{norm}.gain"], self.p[f"{norm}.bias"])
                x = torch.where(x > 0, x, 0.2 * x)
                x = self.conv(x, convolution, stride=2, pad=(1, 1))
            scores.append(self.conv(x, f"{scale}.last").mean((1, 2, 3)))
        return sum(scores) / len(scores)

    # The step.

    def run(self, x_P, x_A, y, u_prior):
        """Terms by name, and the gradient of every parameter."""
        c_P, u_P, s_P = self.encode(x_P)  # eq. 1
        c_A, _, s_A = self.encode(x_A)
        x_PA, x_AA = self.common(c_P, s_P), self.common(c_A, s_A)  # eq. 2
        x_PP = x_PA + self.residual(c_P, u_P, s_P)  # eq. 3
        x_AP = x_AA + self.residual(c_A, u_prior, s_A)  # eq. 6
        c_AP, u_AP, s_AP = self.encode(x_AP)
        c_PA, _, _ = self.encode(x_PA)
        c_PP, u_PP, _ = self.encode(x_PP)
        c_AA, _, _ = self.encode(x_AA)
        terms = {
            "rec_PP": l1(x_P, x_PP),  # eq. 9
            "rec_AA": l1(x_A, x_AA),
            "lat_c_PA": l1(c_P, c_PA),  # eq. 10
            "lat_c_AP": l1(c_A, c_AP),
            "lat_c_AA": l1(c_A, c_AA),
            "lat_c_PP": l1(c_P, c_PP),
            "lat_u_PP": l1(u_P, u_PP),
            "lat_u_AP": l1(u_prior, u_AP),
            "cyc_APA": l1(x_A, self.common(c_AP, s_AP)),  # eq. 11
        }
        n = len(y)
        if n:
            y_seg = self.segment(c_P[:n], u_P[:n], [s[:n] for s in s_P])  # eqs 4, 5
            terms["seg"] = dice_loss(y_seg[:, 0], y)  # eq. 8
        if n and self.weights.get("lambda_keep"):
            lost = [(x_PA[i] - x_P[i])[:, y[i] == 0].abs().sum() for i in range(n)]
            terms["keep_PA"] = sum(lost) / (y != 255).sum() / x_P.shape[1]
        terms["adv_A"] = -self.judge("A", x_PA).mean()  # eq. 12
        terms["adv_P"] = -self.judge("P", x_AP).mean()
        gradients = self.of_discriminators(terms, x_P, x_A, x_PA.detach(), x_AP.detach())
        terms["total"] = self.total(terms)
        names = [name for name in self.p if name.startswith("generator.")]
        found = torch.autograd.grad(
            terms["total"], [self.p[name] for name in names], allow_unused=True
        )
        return terms, gradients | dict(zip(names, found, strict=True))

    def of_discriminators(self, terms, x_P, x_A, x_PA, x_AP):
        for domain, real, fake, other in (("A", x_A, x_PA, x_P), ("P", x_P, x_AP, x_A)):
            of_real, of_fake = self.judge(domain, real), self.judge(domain, fake)
            loss = (1 + of_fake).clamp(min=0).mean()
            if self.domain_aware:
                loss = loss / 2 + (1 + self.judge(domain, other)).clamp(min=0).mean() / 2
            terms[f"disc_{domain}"] = (1 - of_real).clamp(min=0).mean() + loss
        names = [name for name in self.p if name.startswith("discriminators.")]
        loss = terms["disc_A"] + terms["disc_P"]
        found = torch.autograd.grad(loss, [self.p[name] for name in names], retain_graph=True)
        return dict(zip(names, found, strict=True))

    def total(self, terms):
        return sum(
            value * self.weights[f"lambda_{name.split('_')[0]}"]
            for name, value in terms.items()
            if not name.startswith("disc_")
        )  # eq. 7


def l1(a, b):
    return (a - b).abs().mean()


def dice_loss(p, y):
    counts = (y != 255).to(p.dtype)
    truth = ((y > 0) & (y != 255)).to(p.dtype)
    overlap, total = (p * truth * counts).sum(), (p * counts).sum() + truth.sum()
    return 1 - (2 * overlap + 1) / (total + 1)


def instance_norm(x):
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) / (((x - mean) ** 2).mean((2, 3), keepdim=True) + 1e-5).sqrt()


def layer_norm(x, gain, bias):
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) / (((x - mean) ** 2).mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
    return gain[:, None, None] * x + bias[:, None, None]


def repeated(x, like):
    x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return x[..., : like.shape[2], : like.shape[3]]


def halved(x):
    """Means of 3 x 3 pixels around every second one, of those that are there."""
    ones = torch.ones_like(x)
    window = torch.ones(x.shape[1], 1, 3, 3, dtype=x.dtype, device=x.device)
    sums, counts = (
        F.conv2d(values, window, stride=2, padding=1, groups=x.shape[1]) for values in (x, ones)
    )
    return sums / counts
