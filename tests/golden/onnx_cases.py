#!/usr/bin/env python3
"""Writes onnx_cases.inc: the softmax-cross-entropy cases of ONNX's own test data (Debian's libonnx-testdata), the class axis moved last and all
others joined into rows. The _expanded twins hold the same numbers and are left out. nllloss cases begin from log probabilities that are
not normalised, which is no input of ours."""
import glob, os, sys
import numpy as np, onnx
from onnx import numpy_helper
root = "/usr/share/libonnx-testdata/data/node"
version = next((l.split()[1] for l in os.popen("dpkg -s libonnx-testdata") if l.startswith("Version:")), "?")
print(f"/* libonnx-testdata {version}, read with onnx {onnx.__version__}; made by onnx_cases.py */")
print("""typedef struct onnx_case {
  const char *name, *reduction;
  int n, k, has_ignore;
  int64_t ignore;
  const float *z, *weights; /* weights, log_p: or NULL */
  const int64_t *labels;
  const float *loss, *log_p; /* loss: one number, of `none` one for each row */
} onnx_case;""")
seen, rows, MOST = {}, [], 540 # rows: of longer cases, those that stand alone are cut, and log probabilities are left out
def literal(v):
    text = f"{v:.9g}"
    return (text if "." in text or "e" in text else text + ".") + "f"
def array(kind, values):
    values = np.ascontiguousarray(values)
    key = (kind, values.tobytes())
    if key not in seen:
        seen[key] = name = f"{'f' if kind == 'float' else 'i'}_{len(seen)}"
        texts, lines, line = [literal(v) if kind == "float" else str(v) for v in values.ravel()], [], ""
        for t in texts:
            if len(line) + len(t) > 138: lines.append(line); line = ""
            line += t + ","
        print(f"static const {kind} {name}[] = {{\n" + "\n".join(lines + [line]) + "\n};")
    return seen[key]
for folder in sorted(glob.glob(root + "/test_sce_*")):
    name = os.path.basename(folder)[5:]
    if name.endswith("_expanded"): continue
    model = onnx.load(folder + "/model.onnx")
    node = model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    read = lambda kind, i: numpy_helper.to_array(onnx.load_tensor(f"{folder}/test_data_set_0/{kind}_{i}.pb"))
    given = [i for i in node.input]
    z, y = read("input", 0), read("input", 1)
    w = read("input", 2) if len(given) > 2 and given[2] else None
    k = z.shape[1]
    reduction = attributes.get("reduction", b"mean").decode()
    last = lambda a: np.moveaxis(a, 1, -1).reshape(-1, k).astype(np.float32)
    loss = read("output", 0).astype(np.float32)
    log_p = last(read("output", 1)) if len(node.output) > 1 else None
    z, y = last(z), y.ravel()
    if reduction == "none": z, y, loss, log_p = z[:MOST], y[:MOST], loss.ravel()[:MOST], None if log_p is None else log_p[:MOST]
    if len(z) > MOST: log_p = None
    rows.append(f'  {{"{name}", "{reduction}", {len(z)}, {k}, {int("ignore_index" in attributes)}, {attributes.get("ignore_index", 0)}, {array("float", z)}, '
                f'{array("float", w.astype(np.float32)) if w is not None else "NULL"}, {array("int64_t", y.astype(np.int64))}, {array("float", loss.ravel())}, '
                f'{array("float", log_p) if log_p is not None else "NULL"}}},')
print("static const onnx_case onnx_cases[] = {\n" + "\n".join(rows) + "\n};")
