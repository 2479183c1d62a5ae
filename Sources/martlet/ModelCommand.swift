import ArgumentParser

/// Tools for model files.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Works on model files: prunes and quantises them, without training and without Python.",
        discussion: """
              martlet model prune model.onnx --density 0.25 --out pruned.onnx --calibrate day.dbn.zst
              martlet model quantize model.onnx --calibrate day.dbn.zst --out int8.onnx
            """,
        subcommands: [ModelPruneCommand.self, ModelQuantizeCommand.self])
}
