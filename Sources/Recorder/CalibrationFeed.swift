internal import DBN
internal import Features
internal import Feeds
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

    /// The ticks of a recorded feed, or of an array of features if the file's name ends in `.npy`.
    ///
    /// - Parameters:
    ///   - model: The model whose features the rows hold, in its order.
    ///   - options: How a feed is played; `ticksMax` bounds the rows of an array too.
    public static func rows(
        path: String, for model: ModelMetadata, options: FeedReplay.Options, progress: (Int) -> Void
    ) throws(Failure) -> CalibrationRows {
        let rows =
            path.hasSuffix(".npy")
            ? try array(path, model, ticksMax: options.ticksMax ?? .max)
            : try feed(path, model, options, progress)
        guard rows.count > 0 else { throw .data("\(path): no tick in the feed") }
        return rows
    }

    private static func array(_ path: String, _ model: ModelMetadata, ticksMax: Int) throws(Failure) -> CalibrationRows
    {
        let array: NPYArray
        do throws(NPYError) { array = try NPYArray(path: path) } catch {
            if case .system = error { throw .file("\(error)") }
            throw .data("\(error)")
        }
        guard array.shape.count == 2 else {
            throw .data("\(path): an array of shape \(array.shape), expected [ticks, features]")
        }
        let width = array.shape[1]
        guard width == model.featureNames.count else {
            throw .data("\(path): \(width) features in a row, the model wants \(model.featureNames.count)")
        }
        var rows = CalibrationRows(featureCount: width)
        for row in 0..<min(array.shape[0], ticksMax) {
            let values = array.values[row * width..<(row + 1) * width]
            guard values.allSatisfy(\.isFinite) else {
                throw .data("\(path): row \(row) holds a number that is not finite")
            }
            rows.append(values)
        }
        return rows
    }

    private static func feed(
        _ path: String, _ model: ModelMetadata, _ options: FeedReplay.Options, _ progress: (Int) -> Void
    ) throws(Failure) -> CalibrationRows {
        guard model.featureSetVersion == FeatureExtractor.version else {
            throw .data(
                "the model wants version \(model.featureSetVersion) of the feature set, this program has version "
                    + "\(FeatureExtractor.version); give its features as an array (.npy)")
        }
        var places: [Int] = []
        for name in model.featureNames {
            guard let place = FeatureExtractor.names.firstIndex(of: name) else {
                throw .data(
                    "the model wants feature '\(name)', which the feature set does not have; give its features as an "
                        + "array (.npy)")
            }
            places.append(place)
        }
        do throws(Score.Failure) { try FeedReplay.checkPriceLevels([path]) } catch { throw .data("\(error)") }
        var rows = CalibrationRows(featureCount: places.count)
        var replay = FeedReplay(paths: [path], options: options)
        var stream = FeatureStream(instrumentsMax: 256)
        do throws(FeatureExport.Failure) {
            try stream.run(&replay, into: &rows) { rows, row throws(FeatureExport.Failure) in
                guard (rows.count + 1) * places.count <= valuesMax else {
                    throw .undefined("more than \(rows.count) ticks do not fit into memory; give --ticks")
                }
                rows.append(places.map { unsafe row.features[$0] }, stream: row.instrument, startsAnew: row.isFirst)
                if rows.count & 0xFFF == 0 { progress(rows.count) }
            }
        } catch { throw .data("\(path): \(error)") }
        return rows
    }
}
