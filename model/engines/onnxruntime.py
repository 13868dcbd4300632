"""ONNX Runtime on the CPU."""

from functools import partial

from model.engines.cpu import CpuSession, Run
from model.engines.session import Session
from model.engines.threads import usable_threads
from model.graph_io import Arrays, Opening


def open_onnxruntime(opening: Opening, threads: int | None = None) -> Session:
    """Open a graph in its own precision.

    Parameters
    ----------
    opening
        What is opened.
    threads
        None: as many as this process may use.
    """
    import onnxruntime

    threads = threads or usable_threads()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Waiting threads would take the time of the tracker and of whoever sends the frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(opening.graph, options, providers=["CPUExecutionProvider"])

    def bind(inputs: Arrays, outputs: Arrays) -> Run:
        binding = session.io_binding()
        # On the CPU these share the arrays' memory.
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        for name in opening.inputs:
            binding.bind_ortvalue_input(name, value(inputs[name]))
        for name in opening.outputs:
            binding.bind_ortvalue_output(name, value(outputs[name]))
        return partial(session.run_with_iobinding, binding)

    version = onnxruntime.__version__
    return CpuSession(
        opening, bind, f"ONNX Runtime {version} on the CPU, {opening.card.precision}, {threads} threads"
    )
