"""The layers of a network: found, counted, and made to look trained."""

from torch import nn


def parts(network, kind):
    return [part for part in network.modules() if isinstance(part, kind)]


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def lived_in(network):
    """In evaluation mode, with batch statistics as training leaves them: neither 0 nor 1."""
    for norm in parts(network, nn.BatchNorm2d):
        state = norm.state_dict()
        for name in ("weight", "running_var"):
            state[name].uniform_(0.5, 1.5)
        for name in ("bias", "running_mean"):
            state[name].normal_()
    return network.eval()


def multiply_adds(network, images):
    """Counted where they happen: outputs of each convolution times what it takes to compute one."""
    done = []

    def add(layer, _inputs, output):
        done.append(output.numel() * layer.weight[0].numel())

    for layer in parts(network, (nn.Conv2d, nn.Linear)):
        layer.register_forward_hook(add)
    network(images)
    return sum(done) / len(images)
