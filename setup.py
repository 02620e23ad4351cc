"""Maps `workflow/` and `profiles/` into the package as `emjax.workflow`: no second copy in git.

All else stands in pyproject.toml, which cannot both find packages and map others.
"""

from setuptools import find_packages, setup

WORKFLOW = {
    "emjax.workflow": "workflow",
    "emjax.workflow.profiles": "profiles",
}
setup(
    packages=[*find_packages(include=["emjax", "emjax.*"]), *WORKFLOW],
    package_dir=WORKFLOW,
)
