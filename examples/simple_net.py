"""The two-layer classifier of every primer: 10 inputs, 32 hidden units, one probability."""

import flambeau as torch
from flambeau import nn


class SimpleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(10, 32)
        self.output = nn.Linear(32, 1)

    def forward(self, x):
        x = torch.relu(self.hidden(x))
        return torch.sigmoid(self.output(x))


torch.manual_seed(0)
inputs = torch.randn(200, 10)
targets = (inputs.sum(1, keepdim=True) > 0).float()  # is the sum of the ten numbers positive?

model = SimpleNet()
loss_function = nn.BCELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)

for epoch in range(1, 201):
    predictions = model(inputs)
    loss = loss_function(predictions, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 40 == 0:
        accuracy = ((predictions > 0.5) == (targets > 0.5)).float().mean().item()
        print(f"epoch {epoch:3d}  loss {loss.item():.4f}  accuracy {accuracy:.1%}")
