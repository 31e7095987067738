// What hdf5.cpp and hdf5_strings.cpp share. Only these two include the C library's header.
#pragma once
#include <hdf5.h>

#include <memory>
#include <mutex>
#include <string>

#include "framework/core/check.h"
#include "framework/io/hdf5.h"

namespace noisette::hdf5 {
static_assert(std::is_same_v<hid_t, int64_t> && std::is_same_v<herr_t, int>);

/// Holds the library's lock, with HDF5's own printing of errors switched off and its error stack
/// empty.
class Locked {
 public:
  Locked();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

/// HDF5's innermost description of what just went wrong.
std::string library_reason();

/// Turns the negative results of the C library into an Error: "[hdf5] cannot <what>: <reason>".
template <class R>
R must(R result, const std::string& what) {
  if (result < 0) throw Error(fmt::format("[hdf5] cannot {}: {}", what, library_reason()));
  return result;
}

/// The same for writing: a failure also abandons the file.
template <class R>
R must_write(R result, const std::shared_ptr<std::string>& broken, const std::string& what) {
  if (result < 0 && broken && broken->empty()) *broken = library_reason();
  return must(result, what);
}

/// Closes a dataset of a file that is being written, unless its data cannot be written.
int flush_and_close_dataset(int64_t id);

Handle string_type(std::size_t length);  // UTF-8, padded with zeros
Handle chunked_storage(const Shape& shape, int64_t row_bytes, const DatasetOptions& options);
/// Shape of a dataset; an Error when it claims more than a file of this size can hold.
Shape checked_shape(int64_t dataset, const std::string& name);
Handle row_selection(int64_t dataset, int64_t first, int64_t count, Handle& memory,
                     const std::string& what);

}  // namespace noisette::hdf5
