"""What is counted in a compiled program, and the bounds on the programs for accelerators."""

import jax
import pytest

from benchmarks.accelerators import __main__ as accelerators
from benchmarks.accelerators import report
from benchmarks.accelerators.program import Costs, costs

KB = 1024  # bytes of f32[256]
PROGRAM = """
HloModule jit_step

%add_one (a: f32[4,256], i: s32[]) -> f32[4,256] {
  %a = f32[4,256]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %row = f32[1,256]{1,0} dynamic-slice(%a, %i), dynamic_slice_sizes={1,256}
  %more = f32[1,256]{1,0} add(%row, %row)
  ROOT %out = f32[4,256]{1,0} dynamic-update-slice(%a, %more, %i)
}

%count (i.1: s32[]) -> s32[] {
  %i.1 = s32[] parameter(0)
  ROOT %next = s32[] add(%i.1, %i.1)
}

%body (state: (f32[4,256], s32[])) -> (f32[4,256], s32[]) {
  %state = (f32[4,256]{1,0}, /*index=1*/s32[]) parameter(0)
  %rows = f32[4,256]{1,0} get-tuple-element(%state), index=0
  %at = s32[] get-tuple-element(%state), index=1
  %fused = f32[4,256]{1,0} fusion(%rows, %at), kind=kLoop, calls=%add_one
  %then = s32[] fusion(%at), kind=kLoop, calls=%count
  ROOT %both = (f32[4,256]{1,0}, s32[]) tuple(%fused, %then)
}

%condition (state.1: (f32[4,256], s32[])) -> pred[] {
  %state.1 = (f32[4,256]{1,0}, s32[]) parameter(0)
  %limit = s32[] constant(25)
  ROOT %more.1 = pred[] compare(%state.1, %limit), direction=LT
}

ENTRY %main (x: f32[4,256], w: bf16[256,8]) -> f32[4,256] {
  %x = f32[4,256]{1,0} parameter(0)
  %w = bf16[256,8]{1,0:S(1)} parameter(1)
  %zero = s32[] constant(0)
  %start = (f32[4,256]{1,0}, s32[]) tuple(%x, %zero)
  %loop = (f32[4,256]{1,0}, s32[]) while(%start), condition=%condition, body=%body KNOWN
  %ys = f32[4,256]{1,0} get-tuple-element(%loop), index=0
  %gemm = (f32[4,8]{1,0}, s8[999]{0}) custom-call(%ys, %w), custom_call_target="__cublas$gemm"
  %room = f32[4,256]{1,0} custom-call(), custom_call_target="AllocateBuffer"
  ROOT %copied = f32[4,256]{1,0} copy(%ys)
}
"""


@pytest.mark.parametrize("known", ["", ', backend_config={"known_trip_count":{"n":"25"}}'])
def test_a_loop_counts_as_often_as_it_runs(known):
    """A row of an array is read and a row written; what a TPU holds on the chip, and a gemm's own room, are not.

    Room that is set apart is no launch.
    """
    once = (KB + 4) + KB + (4 + 4)  # the row, its index, the row written; the counter
    gemm, copied = 4 * KB + 4 * 8 * 4, 2 * 4 * KB
    assert costs(PROGRAM.replace(" KNOWN", known)) == Costs(
        launches=52, fusions=25, in_loops=50, bytes=25 * once + gemm + copied
    )


@pytest.mark.peers
def test_programs_for_accelerators_stay_within_bounds(tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")  # of eight devices
    accelerators.main(["--quick", "--out", str(tmp_path)])
    claims = report.claims(tmp_path)
    assert len(claims) == sum(map(len, report.LIMITS.values()))
    unmet = {"H100, full: temporary memory, MB", "TPU v5e, layer by layer: memory traffic, GB"}  # says the page
    if jax.__version_info__ < (0, 11):
        unmet |= {"H100, layer by layer: temporary memory, MB", "TPU v5e, layer by layer: fusions"}
    assert {claim.text for claim in claims if not claim.holds} == unmet
