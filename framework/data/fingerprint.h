// The fingerprint of a data set, for its writer and its reader.
#pragma once
#include "framework/data/dataset.h"

namespace noisette {

/// Over everything that training sees: sizes, splits, class names, images (hashed by the caller),
/// labels, captions.
std::string dataset_fingerprint(const DatasetInfo& info, const std::string& image_hash,
                                std::span<const int32_t> labels,
                                std::span<const std::string> captions);

}  // namespace noisette
