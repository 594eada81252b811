"""The configurations that are compared: surrogates as people type them, and in whose layers it is the default."""

import brainsurr as bs

# The layers' default before the third edition, the one that everyone knows, and the one of this library's centre.
PRESENT, ARCTAN = "FakeNumericalGradient(1.0).scaled(width=0.125)", "Arctan(2.0)"
FAST_SIGMOID, FOCUS = "InvSquareGrad(25.0)", "LogTailedRelu(0.1).scaled(width=0.25)"
WHOSE: dict[str, str] = {
    PRESENT: "",
    ARCTAN: "snnTorch (`atan`) and sparx, and the `ATan` of SpikingJelly and jaxpike",
    FAST_SIGMOID: "spyx (`superspike`) and jaxpike, and the `fast_sigmoid` of snnTorch",
    "Sigmoid(4.0)": "SpikingJelly",
    "Sigmoid(2.0)": "",
    "Arctan(1.0)": "",
    "InvSquareGrad(1.0)": "norse (`super`)",
    "ReluGrad()": "brainpy.state",
    "GaussianGrad(0.5, 1.0)": "",
    "MultiGaussianGrad()": "",
    "PiecewiseLeakyRelu(c=0.0, w=0.5)": "",
    "S2NN().scaled(width=0.694)": "",
    "NonzeroSignLog().scaled(width=0.25)": "",
    "LogTailedRelu()": "",
    "LogTailedRelu(0.01)": "",
    FOCUS: "",
}
FOUR = ("Sigmoid(4.0)", ARCTAN, "GaussianGrad(0.5, 1.0)", PRESENT)  # which the third edition could not tell apart
NEW = ("Sigmoid(2.0)", "Arctan(1.0)")  # in the fourth
GONE = ("PiecewiseLeakyRelu(c=0.0, w=0.5)", "S2NN().scaled(width=0.694)", "NonzeroSignLog().scaled(width=0.25)")
ENTRANTS: dict[str, bs.Surrogate] = {typed: eval(f"bs.{typed}") for typed in WHOSE}
