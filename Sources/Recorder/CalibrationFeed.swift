internal import DBN
internal import Features
internal import Feeds
internal import Foundation
public import Inference

/// Reads the ticks on which a model is calibrated.
public enum CalibrationFeed {
    /// Features of all ticks that are kept in memory, 2 GiB: 4 million ticks of the default model.
    public static let valuesMax = 1 << 29

    /// Why there are none.
    public enum Failure: Error, CustomStringConvertible {
        /// A file that cannot be opened.
        case file(String)
        /// A file that does not fit.
        case data(String)

        public var description: String {
            switch self {
            case .file(let text), .data(let text): text
            }
        }
    }

    /// The ticks of a recorded feed; the rows of an array if the name ends in `.npy`; of a folder those of its arrays, one
    /// for each input (`features.npy` of a model).
    ///
    /// - Parameters:
    ///   - model: What the rows are for. A feed gives the features that a model lists; to a free graph all features of the
    ///     set, in its order, or so many ticks of them as its one input holds.
    ///   - options: How a feed is played; `ticksMax` bounds the rows of an array too.
    public static func rows(
        path: String, for model: AnyModel, options: FeedReplay.Options, progress: (Int) -> Void
    ) throws(Failure) -> CalibrationRows {
        let rows: CalibrationRows
        if let input = model.inputs.first(where: { !$0.isFloat }) {
            throw .data("input '\(input.name)' of the model is not of 32-bit floats; only those can be given")
        }
        guard (1...valuesMax).contains(model.rowWidth) else {
            throw .data("a run of the model reads \(model.rowWidth) values, expected 1 to \(valuesMax)")
        }
        if path.hasSuffix(".npy") {
            guard model.inputs.count == 1 else {
                let names = model.inputs.map { "\($0.name).npy" }.joined(separator: ", ")
                throw .data("\(path): the model has several inputs; give a folder with \(names)")
            }
            rows = try arrays([path], model, options.ticksMax ?? .max)
        } else if isFolder(path) {
            let names = model.inputs.map(\.name)
            if let name = names.first(where: { $0.contains("/") || $0.isEmpty }) {
                throw .data("input '\(name)' of the model has a name that no file can have")
            }
            rows = try arrays(names.map { "\(path)/\($0).npy" }, model, options.ticksMax ?? .max)
        } else {
            rows = try feed(path, model, options, progress)
        }
        guard rows.count > 0 else { throw .data("\(path): no tick in the feed") }
        return rows
    }

    /// Whether `path` is a folder of arrays.
    public static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }

    /// Rows of one array for each input, side by side.
    private static func arrays(
        _ paths: [String], _ model: AnyModel, _ rowsMax: Int
    ) throws(Failure) -> CalibrationRows {
        var columns: [FeatureRows] = []
        for (path, input) in zip(paths, model.inputs) {
            let array: NPYArray
            do throws(NPYError) { array = try NPYArray(path: path) } catch {
                if case .system = error { throw .file("\(error)") }
                throw .data("\(error)")
            }
            // A row of a model's features is one tick, however many its window has.
            let shape = model.metadata.map { [$0.featureNames.count] } ?? input.shape
            let width = shape.reduce(1, *)
            guard
                model.isOneRun(array.shape, shape: input.shape)
                    || array.shape.count > 1 && array.shape.dropFirst().reduce(1, *) == width
            else {
                let what = model.metadata == nil ? "of shape \(shape)" : "of \(width) features"
                throw .data("\(path): an array of shape \(array.shape), expected rows \(what)")
            }
            guard !array.values.isEmpty else { throw .data("\(path): the array is empty") }
            columns.append(FeatureRows(width: width, values: array.values))
            guard columns[0].count == columns[columns.count - 1].count else {
                throw .data(
                    "\(path): \(columns[columns.count - 1].count) rows, but \(paths[0]) has \(columns[0].count)")
            }
        }
        var rows = CalibrationRows(featureCount: model.rowWidth)
        for row in 0..<min(columns.first?.count ?? 0, rowsMax) {
            var values: [Float] = []
            for (path, column) in zip(paths, columns) {
                let own = column.values[row * column.width..<(row + 1) * column.width]
                guard own.allSatisfy(\.isFinite) else {
                    throw .data("\(path): row \(row) holds a number that is not finite")
                }
                values += own
            }
            rows.append(values)
        }
        return rows
    }

    /// Where the features of a row stand in the feature set, and how many ticks a row has.
    private static func layout(_ model: AnyModel) throws(Failure) -> (places: [Int], ticks: Int) {
        guard let metadata = model.metadata else {
            let count = FeatureExtractor.names.count
            guard model.inputs.count == 1, model.inputs[0].shape.last == count else {
                let shapes = model.inputs.map { "\($0.name) \($0.shape)" }.joined(separator: ", ")
                throw .data(
                    "a feed gives \(count) features a tick, which do not fit the inputs of the model (\(shapes)); give "
                        + "its rows as an array (.npy) or as a folder of them")
            }
            return (Array(0..<count), model.rowWidth / count)
        }
        guard metadata.featureSetVersion == FeatureExtractor.version else {
            throw .data(
                "the model wants version \(metadata.featureSetVersion) of the feature set, this program has version "
                    + "\(FeatureExtractor.version); give its features as an array (.npy)")
        }
        var places: [Int] = []
        for name in metadata.featureNames {
            guard let place = FeatureExtractor.names.firstIndex(of: name) else {
                throw .data(
                    "the model wants feature '\(name)', which the feature set does not have; give its features as an "
                        + "array (.npy)")
            }
            places.append(place)
        }
        return (places, 1)
    }

    private static func feed(
        _ path: String, _ model: AnyModel, _ options: FeedReplay.Options, _ progress: (Int) -> Void
    ) throws(Failure) -> CalibrationRows {
        let (places, ticks) = try layout(model)
        do throws(Score.Failure) { try FeedReplay.checkPriceLevels([path]) } catch { throw .data("\(error)") }
        var rows = CalibrationRows(featureCount: model.rowWidth)
        /// The latest ticks of each instrument, where a row has several.
        var windows: [Int: [Float]] = [:]
        var replay = FeedReplay(paths: [path], options: options)
        var stream = FeatureStream(instrumentsMax: 256)
        do throws(FeatureExport.Failure) {
            try stream.run(&replay, into: &rows) { rows, row throws(FeatureExport.Failure) in
                guard (rows.count + 1) * rows.featureCount <= valuesMax else {
                    throw .undefined("more than \(rows.count) rows do not fit into memory; give --ticks")
                }
                let features = places.map { unsafe row.features[$0] }
                if ticks == 1 {
                    rows.append(features, stream: row.instrument, startsAnew: row.isFirst)
                } else {
                    var window = row.isFirst ? [] : windows[row.instrument] ?? []
                    window += features
                    if window.count > rows.featureCount { window.removeFirst(features.count) }
                    if window.count == rows.featureCount { rows.append(window) }
                    windows[row.instrument] = window
                }
                if rows.count & 0xFFF == 0 { progress(rows.count) }
            }
        } catch { throw .data("\(path): \(error)") }
        return rows
    }
}
