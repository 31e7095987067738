// A small layer over the HDF5 C library: handles that close themselves, errors as one sentence,
// checksums on everything.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/dtype.h"
#include "framework/core/shape.h"
#include "framework/io/atomic_file.h"

namespace noisette::hdf5 {

/// An HDF5 identifier that closes itself. The HDF5 library runs under one lock; these classes take
/// it.
///
/// When writing a file fails (a full disk), the library cannot close what belongs to it: it frees
/// half and stumbles over the rest later. Handles of such a file share `broken`, the reason of its
/// first failure ("": none); once it is set they are abandoned instead of closed.
class Handle {
 public:
  using Close = int (*)(int64_t);
  Handle() = default;
  Handle(int64_t id, Close close, std::shared_ptr<std::string> broken = nullptr)
      : id_(id), close_(close), broken_(std::move(broken)) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept { *this = std::move(other); }
  Handle& operator=(Handle&& other) noexcept;
  void reset();
  int64_t id() const { return id_; }

 private:
  int64_t id_ = -1;
  Close close_ = nullptr;
  std::shared_ptr<std::string> broken_;
};

struct DatasetOptions {
  int64_t chunk_rows = 0;  // rows of the first axis per chunk; 0 chooses chunks of about 64 KiB
  int deflate = 0;         // 0 (none) to 9
};

/// A chunked array with a Fletcher-32 checksum on each chunk, read and written by rows of its first
/// axis.
class Dataset {
 public:
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t rows() const { return shape_[0]; }
  int64_t row_bytes() const;  // bytes of one row

  void write_rows(int64_t first, int64_t count, std::span<const std::byte> bytes);
  void read_rows(int64_t first, int64_t count, std::span<std::byte> bytes) const;
  /// Drops the rows from `rows` on.
  void shrink(int64_t rows);

  /// The whole array as C++ values; an Error when the types differ.
  template <class T>
  std::vector<T> read_all() const {
    check_type(dtype_of<T>);
    std::vector<T> values(std::size_t(shape_.numel()));
    read_rows(0, rows(), std::as_writable_bytes(std::span(values)));
    return values;
  }

 private:
  friend class File;
  void check_type(DType expected) const;
  void check_range(int64_t first, int64_t count, std::size_t bytes) const;
  std::shared_ptr<std::string> broken_;  // only of a file that is being written
  Handle handle_;
  Shape shape_;
  DType dtype_ = DType::u8;
  std::string name_;  // "'/images' of FILE", for errors
};

/// A file: created under a temporary name that finish() replaces by the final one, or opened for
/// reading. Paths inside it are absolute, "/group/name". Files are written in the 1.10 format,
/// whose metadata carries checksums as the data does.
class File {
 public:
  static File create(const std::filesystem::path& path);
  static File open(const std::filesystem::path& path);
  File(File&&) = default;
  ~File();

  void make_group(const std::string& path);  // parents too
  bool exists(const std::string& path) const;
  std::vector<std::string> list(const std::string& group) const;  // sorted names of the members

  Dataset create_dataset(const std::string& path, DType dtype, const Shape& shape,
                         const DatasetOptions& options = {});
  Dataset open_dataset(const std::string& path) const;
  /// One value per row: fixed-length UTF-8, padded with zeros (checksummed, as variable-length
  /// strings are not).
  void write_strings(const std::string& path, std::span<const std::string> values);
  std::vector<std::string> read_strings(const std::string& path) const;  // of either kind
  /// One text of any length, as an array of bytes.
  void write_text(const std::string& path, std::string_view text);
  std::string read_text(const std::string& path) const;

  /// Attributes hold small things, at most 32 KiB each; longer text goes into write_text().
  void set(const std::string& object, const std::string& name, std::string_view value);
  void set(const std::string& object, const std::string& name, std::span<const int64_t> values);
  void set(const std::string& object, const std::string& name, std::span<const double> values);
  void set(const std::string& object, const std::string& name, int64_t value);
  void set(const std::string& object, const std::string& name, double value);
  bool has(const std::string& object, const std::string& name) const;
  std::string get_string(const std::string& object, const std::string& name) const;
  int64_t get_int(const std::string& object, const std::string& name) const;
  double get_double(const std::string& object, const std::string& name) const;
  std::vector<int64_t> get_ints(const std::string& object, const std::string& name) const;
  std::vector<double> get_doubles(const std::string& object, const std::string& name) const;

  /// Writes everything to the disk and gives the file its name. Its datasets cannot be used any
  /// more.
  void finish();
  const std::string& origin() const { return origin_; }

 private:
  File() = default;
  void write_attribute(const std::string& object, const std::string& name, int64_t type,
                       int64_t space, const void* data);
  std::string describe(const std::string& object, const std::string& name) const;
  std::string origin_;
  std::unique_ptr<AtomicFile> output_;   // only when created
  std::shared_ptr<std::string> broken_;  // likewise
  Handle handle_;
};

}  // namespace noisette::hdf5
