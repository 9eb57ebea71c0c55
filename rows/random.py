"""Random: in-place draws, samples and dropout, over streams that are PyTorch's for the same seed."""

from __future__ import annotations

from rows.row import ALL, COMPLEX, FLOAT, NUMBER, REAL, row


def draw(name: str, schema: str, dtypes=FLOAT, **says) -> None:
    """Overwrites its input: only the in-place form is public."""
    row(name, f"input, {schema}*, generator: generator? = None", dtypes, cls="random", function=False, method=False, **says)


draw("uniform", "from: float = 0.0, to: float = 1.0, ", FLOAT | COMPLEX, kernel="uniform", fails="ones(2).uniform_(1, 0)",
    doc="Uniform numbers from [from, to).")
draw("normal", "mean: float = 0.0, std: float = 1.0, ", FLOAT | COMPLEX, kernel="normal", fails="ones(2).normal_(0, -1)",
    doc="Normal numbers.")
draw("log_normal", "mean: float = 1.0, std: float = 2.0, ", kernel="log_normal", fails="ones(2).log_normal_(0, -1)",
    doc="Numbers whose logarithm is normal.")
draw("exponential", "lambd: float = 1.0, ", kernel="exponential", fails="ones(2).exponential_(-1)",
    doc="Exponential numbers of rate lambd.")
draw("cauchy", "median: float = 0.0, sigma: float = 1.0, ", kernel="cauchy", fails="ones(2).cauchy_(0, -1)",
    doc="Cauchy numbers.")
draw("geometric", "p: float, ", REAL, kernel="geometric", fails="ones(2).geometric_(2)",
    doc="How many trials of probability p it takes to succeed, from 1 on.")
draw("random", "from: int? = None, to: int? = None, ", ALL, kernel="random_integers", fails="ones(2).random_(3, 1)",
    doc="Whole numbers of [from, to), or of all that the type holds exactly; one number alone is `to`.")
draw("bernoulli_fill", "p = 0.5, ", ALL, kernel="bernoulli_fill", aliases="bernoulli", fails="_ops.bernoulli_fill_(ones(2), 2.0)",
    doc="1 with probability p, else 0; p is a number or a tensor of probabilities.")
row("multinomial", "input, num_samples: int, replacement: bool = False, *, generator: generator? = None", FLOAT, cls="random",
    inplace=False, fails="multinomial(ones(2), 3)",
    doc="Indices drawn from each row of weights: (n,) or (m, n) to (num_samples,) or (m, num_samples), int64.")
row("dropout_kernel", "input, p: float", FLOAT | COMPLEX, cls="random", vjp="dropout_kernel", saves="mask", linear="input",
    outputs=("output", "mask"), function=False, method=False, inplace=False, fails="_ops.dropout_kernel(ones(2), 2.0)",
    doc="Zeros each element with probability p and scales the others by 1 / (1 - p).")
row("dropout", "input, p: float, train: bool", NUMBER, cls="composite", method=False, inplace=False, fails="dropout(ones(2), 2.0, True)",
    doc="Zeros elements with probability p while training, scaling the others by 1 / (1 - p).")
