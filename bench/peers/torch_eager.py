"""PyTorch eager with the fused Adam.

Needs: torch. Usage: torch_eager.py FOLDER. BENCH_CORES rules the threads. Losses stay tensors, so nothing waits for a number.
"""
import os

import torch

from common import BATCH, EPOCHS, layer_names, load, measure

torch.set_num_threads(int(os.environ.get("BENCH_CORES", "1")))


def main():
    x, y, weights = load()
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    batches = list(zip(x.split(BATCH), y.split(BATCH)))
    names = layer_names(weights)

    def restore():
        layers = []
        for name in names:
            kernel = torch.from_numpy(weights[name + "/kernel"])
            layer = torch.nn.Linear(*kernel.shape)
            with torch.no_grad():
                layer.weight.copy_(kernel.T)
                layer.bias.copy_(torch.from_numpy(weights[name + "/bias"]))
            layers += [layer, torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        return model, torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)

    def train(state):
        model, optimizer = state
        for _ in range(EPOCHS):
            total = torch.zeros(())
            for batch_x, batch_y in batches:
                optimizer.zero_grad(set_to_none=True)
                loss = torch.nn.functional.cross_entropy(model(batch_x), batch_y)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(batch_x)
        return total / len(x)

    measure("torch_eager", restore, train, len(x), repeats=6)


main()
