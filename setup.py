"""Maps `workflow/` and `profiles/` into the package as `emjax.workflow`, without a second copy in git.

All else about the package stands in pyproject.toml, which cannot both find packages and map others.
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
