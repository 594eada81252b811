"""Sphinx: the site of ``make docs``.

Sphinx, the book theme and MyST-NB are what jax, flax and optax build their pages with, so readers know their way about;
and they read what is here as it is: docstrings in Google style with REST formulas, Markdown, notebooks with the outputs
they were committed with. The sources are the whole repository, so that a link from a page to a notebook, or back, is
the same on the site and where the code is hosted. Nothing is fetched, neither by the build nor by a reader's browser.
"""

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature

sys.path.insert(0, str(Path(__file__).parent.parent))
import brainsurr

project, author = "brainsurr", "the authors of brainsurr"
version = release = brainsurr.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]

root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*.ipynb", "CHANGELOG.md"]
exclude_patterns = [".*", "benchmarks", "runs", "site", "tests", "**/__pycache__"]  # or they are walked through

autodoc_typehints = "none"  # shapes, dtypes and units are in the text
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
napoleon_attr_annotations = False
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # pytest runs the notebooks
nb_merge_streams = True
suppress_warnings = ["myst-nb.lexer"]  # notebooks are without metadata; code is read as Python all the same
copybutton_exclude = ".gp, .go"

toc_object_entries_show_parents = "hide"
html_theme = "sphinx_book_theme"
html_title = "brainsurr"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_templates"]
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "footer_content_items": ""}

warn = logging.getLogger(__name__).warning


def mathml(self, node):
    """A formula as MathML, which browsers set by themselves: no script from elsewhere."""
    block = node.tagname == "math_block"
    # What TeX knows and the converter doesn't: 12 as two arguments, dots, and a size for either bracket.
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
    """Whether to leave out a member: what a layer has from its framework is documented there."""
    function = inspect.unwrap(getattr(member, "fget", member))
    return skip or not getattr(function, "__module__", "brainsurr").startswith("brainsurr")


def plain_signature(app, what, name, obj, options, signature, returns):
    """Defaults as one would write them, and without what flax adds to each Linen module."""
    if signature is None:
        return None
    if signature == "(*args, **kwargs)":  # that of the metaclass
        signature = stringify_signature(signature_of(obj.__init__, bound_method=True), show_annotation=False)
    signature = re.sub(r", parent=<.*?>, name=None", "", signature)
    signature = re.sub(r"<(?:class|function) '?(?:[\w.]*\.)?(\w+)'?>", r"\1", signature)
    signature = re.sub(r"<function (\w+)\.<locals>.*?>", r"\1()", signature)
    signature = re.sub(r"(Orthogonal|ZeroInit)\(.*?unit=Unit\(.1.\)\W*\)", r"\1()", signature)
    return re.sub(r"(FrozenDict|mappingproxy)\((.*?)\)", r"\2", signature), returns


def check_public_names(app, env):
    """Every name in the ``__all__`` of a public module is on a page, or the build fails."""
    modules = [brainsurr] + [
        importlib.import_module(f"brainsurr.{module.name}")
        for module in pkgutil.iter_modules(brainsurr.__path__)
        if not module.name.startswith("_") and not module.ispkg
    ]
    for module in modules:
        for name in module.__all__:
            if f"{module.__name__}.{name}" not in env.domains.python_domain.objects:
                warn("%s.%s is public and on no page", module.__name__, name)


def setup(app):
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("autodoc-skip-member", is_foreign)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("env-check-consistency", check_public_names)
