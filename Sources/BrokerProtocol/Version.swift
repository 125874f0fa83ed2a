/// Of all programs and libraries of this package; semver.org.
public let productVersion = "0.1.0"
