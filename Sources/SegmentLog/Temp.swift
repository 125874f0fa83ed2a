extension SegmentLog {
    package struct Page { package var records: [(UInt64, [UInt8])]; package var next: UInt64? }
    package func records(from: UInt64, bytes: Int) throws(LogError) -> Page { Page(records: [], next: nil) }
}
