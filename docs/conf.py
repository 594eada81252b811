"""Sphinx: the site of ``make docs``.

Sphinx, the book theme and MyST-NB also build the pages of jax, flax and optax, so readers know the layout; and they
accept the sources unchanged: docstrings in Google style with REST formulas, Markdown, notebooks with their committed
outputs. The source folder is the whole repository, so that a link between a page and a notebook is the same on the site
and where the code is hosted. Nothing is downloaded, neither by the build nor by a reader's browser.
"""

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

import imagesize
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import signature_from_str, stringify_signature

sys.path.insert(0, str(Path(__file__).parent.parent))
import brainsurr

project, author = "brainsurr", "the authors of brainsurr"
version = release = brainsurr.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]

root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*.ipynb", "CHANGELOG.md"]
exclude_patterns = [".*", "benchmarks", "runs", "site", "tests", "**/__pycache__"]  # or Sphinx searches them too

autodoc_typehints = "none"  # the text gives shapes, dtypes and units
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
napoleon_attr_annotations = False
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False

myst_enable_extensions = ["dollarmath", "substitution"]
myst_heading_anchors = 3
modules = [brainsurr] + [
    importlib.import_module(f"brainsurr.{module.name}")
    for module in pkgutil.iter_modules(brainsurr.__path__)
    if not module.name.startswith("_") and module.name != "surrogates"  # whose names are those of the package
]
names = {m.__name__: ", ".join(f"{{py:obj}}`~{m.__name__}.{name}`" for name in sorted(m.__all__)) for m in modules}
rows = ["| module | names |", "| :- | :- |", *(f"| `{module}` | {listed} |" for module, listed in names.items())]
myst_substitutions = {"public_names": "\n".join(rows)}
nb_execution_mode = "off"  # pytest runs the notebooks
nb_merge_streams = True
suppress_warnings = ["myst-nb.lexer"]  # notebooks have no metadata; their code is highlighted as Python anyway
copybutton_exclude = ".gp, .go"

toc_object_entries_show_parents = "hide"
html_theme = "sphinx_book_theme"
html_title = "brainsurr"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
redirects = {
    "index": root_doc,
    "docs/studies": "docs/appendix/studies",
    "docs/plan": "docs/appendix/plan",
    "docs/units": "docs/cookbook",
    "docs/operations": "docs/spike-counts",
    "docs/rate-penalty": "docs/spike-counts",
    "docs/eight-bits": "docs/chips",
    "docs/fast-on-a-cpu": "docs/sparse-products",
}
LIBRARIES = ["README", "brainevent", "brainpy", "brainspikes", "braintrace", "jaxpike", "jaxsnn", "no_argument"]
LIBRARIES += ["slax", "sparx", "spyx"]
redirects |= {f"docs/hosts/{page}": "docs/other-libraries" for page in LIBRARIES}
redirects |= {f"docs/hosts/{page}": "docs/frameworks" for page in ("nnx", "linen", "brainstate")}
redirects["docs/hosts/equinox"] = "docs/equinox"
html_additional_pages = dict.fromkeys(redirects, "redirect.html")
html_context = {"redirects": redirects}
templates_path = ["_templates"]
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_content_items": "",
    "use_download_button": False,  # sources are not copied
    # The code of notebooks has 120 columns: no outline beside it.
    "secondary_sidebar_items": {"docs/**": ["page-toc"], "CHANGELOG": ["page-toc"], "notebooks/*": []},
}

warn = logging.getLogger(__name__).warning

DRAWN = Path(__file__).parent / "drawn"  # by tools/site_pictures.py
# The arguments that most people leave alone come last in a signature: those before them in the order of use.
SELDOM = ["learnable", "recurrent", "rngs", "decay_input", "reset_delay", "reset_grad", "reset_adapted"]
SELDOM += ["self_connections", "recurrent_kernel_init", "bounds", "carry_init", "param_dtype"]


def mathml(self, node):
    """Write a formula as MathML, which browsers draw without a script."""
    block = node.tagname == "math_block"
    # TeX that the converter does not accept: digits as arguments without braces, \dots, and sizes without a side.
    tex = re.sub(r"(\\[dt]?frac)(\d)(\d)", r"\1{\2}{\3}", node.astext())
    tex = re.sub(r"\\dots\b", r"\\ldots", tex)
    tex = re.sub(r"\\([Bb]igg?)(?![a-z])", r"\\\1l", tex)
    try:
        formula = tex2mathml(tex, as_block=block)
    except MathError as error:
        warn("formula: %s", error, location=node)
        formula = ""
    formula = formula.replace('stretchy="false">|', 'stretchy="false" lspace="0" rspace="0">|')  # no operator
    self.body.append(f'<div class="formula">{formula}</div>' if block else formula)
    raise nodes.SkipNode


def is_foreign(app, what, name, member, skip, options):
    """Return whether to leave out a member: those of the framework are documented there."""
    function = inspect.unwrap(getattr(member, "fget", member))
    return skip or not getattr(function, "__module__", "brainsurr").startswith("brainsurr")


def plain_signature(app, what, name, obj, options, signature, returns):
    """Write defaults as in code, arguments by name in the order of use, and none that flax adds to a Linen module."""
    if signature is None:
        return None
    if signature == "(*args, **kwargs)":  # that of the metaclass
        signature = stringify_signature(signature_of(obj.__init__, bound_method=True), show_annotation=False)
    signature = re.sub(r"(?:, \*)?, parent=<.*?>, name=None", "", signature)
    signature = re.sub(r"<(?:class|function) '?(?:[\w.]*\.)?(\w+)'?>", r"\1", signature)
    signature = re.sub(r"<function (\w+)\.<locals>.*?>", r"\1()", signature)
    signature = re.sub(r"(Orthogonal|ZeroInit)\(.*?unit=Unit\(.1.\)\W*\)", r"\1()", signature)
    signature = re.sub(r"(FrozenDict|mappingproxy)\((.*?)\)", r"\2", signature)
    scaled = r"Scaled\(surrogate=(\w+)\(alpha=([\d.]+)\), height=1\.0, width=([\d.]+)\)"
    signature = re.sub(scaled, r"\1(\2).scaled(width=\3)", signature)
    if what == "class" and "learnable=" in signature:
        signature = stringify_signature(in_order_of_use(signature_from_str(signature)))
    return signature, returns


def in_order_of_use(signature):
    """Move arguments by name that are seldom given behind the others."""

    def place(parameter):
        seldom = parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name in SELDOM
        return parameter.kind, SELDOM.index(parameter.name) if seldom else -1

    return signature.replace(parameters=sorted(signature.parameters.values(), key=place))


def show_what_it_does(app, what, name, obj, options, lines):
    """Put the picture of a neuron, if there is one, behind the first sentence about it or about a layer of it."""
    neuron = name.rpartition(".")[2]
    if what == "class" and (DRAWN / f"{neuron}.png").exists():
        alt = f"What {neuron} does: its input, its potential and its spikes over time"
        at = lines.index("")
        lines[at:at] = ["", f".. image:: /docs/drawn/{neuron}.png", f"   :alt: {alt}", "   :width: 640px"]


def link_to_full_size(app, doctree, page):
    """Let each picture open in full size: Sphinx links those whose width is given. A wide one scrolls on a phone."""
    for image in doctree.findall(nodes.image):
        width = imagesize.get(app.srcdir / image["uri"])[0]
        if "width" not in image and width > 1000:
            image["classes"].append("wide")
        image.setdefault("width", f"{width}px")


def check_public_names(app, env):
    """Warn, and so fail the build, if a name in the ``__all__`` of a public module is on no page."""
    for module in modules:
        for name in module.__all__:
            if f"{module.__name__}.{name}" not in env.domains.python_domain.objects:
                warn("%s.%s is public and on no page", module.__name__, name)


def setup(app):
    """Register all of this with Sphinx."""
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("autodoc-skip-member", is_foreign)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("autodoc-process-docstring", show_what_it_does)
    app.connect("doctree-resolved", link_to_full_size)
    app.connect("env-check-consistency", check_public_names)
