"""Write every page: ``python -m benchmarks.pages``, which `make evidence` runs."""

from . import evidence, neurons, nir, readme, studies, withstands

if __name__ == "__main__":
    for page in (evidence, studies, withstands, nir, neurons, readme):
        page.main()
