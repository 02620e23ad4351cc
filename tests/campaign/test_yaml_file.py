"""Whatever the bytes of a configuration are, it is read or refused in one line."""

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emjax.campaign.yaml_file import ConfigError, read_yaml

PIECES = st.sampled_from(["campaign: t\n", "runs", ":", " ", "\t", "\n", "  a: 1\n", "[", "]", "{",
                          "}", "'", '"', "&a ", "*a", "<<", "!!python/object:x", "- ", "# ", "|",
                          "? ", "1", "\u2028", "2024-01-31", "0x", "~", "%", "---\n"])  # fmt: skip


@given(
    st.one_of(
        st.binary(max_size=60), st.lists(PIECES, max_size=12).map(lambda x: "".join(x).encode())
    )
)
@settings(
    max_examples=int(os.environ.get("EMJAX_FUZZ_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_any_bytes(tmp_path: Path, raw: bytes):
    path = tmp_path / "my.yaml"
    path.write_bytes(raw)
    message = f"{path}: read"
    try:
        read_yaml(path)
    except ConfigError as error:
        message = str(error)
    assert message.startswith(f"{path}: ") and "\n" not in message
