"""What measures. Their imports need the tests' Python packages, so these are installed first."""

import pathlib
import subprocess

subprocess.run(["bash", "-c", '. "$1/tools/lib/common.sh"; need_packages "${PACKAGES_RUN[@]}" "${PACKAGES_TEST[@]}"', "bash",
                pathlib.Path(__file__).resolve().parents[2]], check=True)
