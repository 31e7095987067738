// The containers that data sets are published in: gzip, tar, idx. All bounded, all from bytes in
// memory.
#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "framework/core/shape.h"

namespace noisette {

bool is_gzip(std::span<const std::byte> file);

/// Decompresses all members of a gzip file; an Error when it is damaged, cut, or longer than
/// `max_bytes`.
std::vector<std::byte> gunzip(std::span<const std::byte> file, const std::string& origin,
                              int64_t max_bytes);

/// Calls `f(name, content)` for each regular file of a tar archive (POSIX.1-1988 and later; links
/// and devices are passed over). Names are as they stand in the archive: do not use them as paths.
void for_each_tar_file(
    std::span<const std::byte> archive, const std::string& origin,
    const std::function<void(const std::string&, std::span<const std::byte>)>& f);

/// An idx array of unsigned bytes, the format of MNIST.
struct IdxArray {
  Shape shape;
  std::span<const std::byte> bytes;  // inside the file
};
IdxArray parse_idx(std::span<const std::byte> file, const std::string& origin);

}  // namespace noisette
