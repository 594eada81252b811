"""The compared configurations: surrogates as users type them, and the layers in which they are the default."""

import brainsurr as bs

# The layers' default when the plan was made and the best-known surrogate, then two others.
PRESENT, ARCTAN = "Sigmoid(4.0)", "Arctan(2.0)"
FAST_SIGMOID, FOCUS = "InvSquareGrad(25.0)", "LogTailedRelu(0.1).scaled(width=0.25)"
WHOSE: dict[str, str] = {  # in the order of docs/appendix/plan.md
    PRESENT: "SpikingJelly",
    ARCTAN: "snnTorch (`atan`) and sparx, and the `ATan` of SpikingJelly and jaxpike",
    "GaussianGrad(0.5, 1.0)": "",
    "FakeNumericalGradient(1.0).scaled(width=0.125)": "",
    "MultiGaussianGrad()": "",
    "Sigmoid(2.0)": "",
    "Arctan(1.0)": "",
    FAST_SIGMOID: "spyx (`superspike`) and jaxpike, and the `fast_sigmoid` of snnTorch",
    "InvSquareGrad(1.0)": "norse (`super`)",
    "ReluGrad()": "brainpy.state",
    "LogTailedRelu()": "",
    "LogTailedRelu(0.01)": "",
    FOCUS: "",
}
FOUR, CANDIDATES = tuple(WHOSE)[:4], tuple(WHOSE)[:7]  # for `causes`; candidates for the default
ENTRANTS: dict[str, bs.Surrogate] = {typed: eval(f"bs.{typed}") for typed in WHOSE}
