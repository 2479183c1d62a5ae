import ONNX

/// Decision trees of the ONNX-ML operator set.
extension GraphCompiler {
    mutating func compileTrees(_ node: Node) throws(ModelError) {
        guard ["TreeEnsemble", "TreeEnsembleRegressor", "TreeEnsembleClassifier"].contains(node.operatorName) else {
            throw refused(node, "the operator is not supported")
        }
        if isConstant(node) { return try fold(node) }
        let value = try input(node, 0)
        guard let inputs = value.shape.last, value.shape.count <= 2, value.shape.count >= 1, value.type == .float else {
            throw refused(node, "a value of \(value.type) and shape \(value.shape), expected float32 [N, F]")
        }
        let rows = value.shape.count == 2 ? value.shape[0] : 1
        let ensemble = try TreeEnsemble(node, inputCount: inputs)
        try spendBytes(
            64 * ensemble.branches.count + 32 * ensemble.leaves.count + 8 * ensemble.votes.count
                + 8 * ensemble.tableElementCount)
        try spend(rows * (ensemble.trees.count + ensemble.tableElementCount), node)
        let view = try floatInput(node, 0)
        let rowViews =
            view.shape.count == 2
            ? view
            : View(
                view.operand, start: view.start, shape: [1, inputs], strides: [0, view.strides[0]])
        // Each row of scores begins on a vector.
        let width = (ensemble.outputCount + 7) / 8 * 8
        let scores = try allocate(rows * width)
        let isClassifier = node.operatorName == "TreeEnsembleClassifier"
        let labels = isClassifier ? try allocate(rows, .integer) : nil
        for row in 0..<rows {
            let part = View(
                rowViews.operand, start: rowViews.start + row * rowViews.strides[0], shape: [inputs],
                strides: [rowViews.strides[1]])
            let source =
                part.isContiguous
                ? part.operand.part(part.start, inputs) : try contiguous(part, node)
            try append(
                node, .trees(source: source, ensemble: ensemble, labels: labels?.part(row, 1)),
                to: scores.part(row * width, ensemble.outputCount), shape: [1, ensemble.outputCount])
        }
        let result = View(scores, start: 0, shape: [rows, ensemble.outputCount], strides: [width, 1])
        guard isClassifier, let labels else {
            return try define(node, .view(result), .float, shape: result.shape)
        }
        try define(node, .view(View(labels, shape: [rows])), .int64, shape: [rows])
        try define(node, .view(result), .float, shape: result.shape, output: 1)
    }
}
