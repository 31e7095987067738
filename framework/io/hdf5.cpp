#include "framework/io/hdf5.h"

#include <algorithm>
#include <array>

#include "framework/io/hdf5_internal.h"

namespace noisette::hdf5 {
namespace fs = std::filesystem;
namespace {

constexpr std::array kStored{DType::f32, DType::bf16, DType::f64, DType::f16,
                             DType::i32, DType::i64,  DType::u8};

/// A two-byte floating type made from the 32-bit one.
Handle short_float(std::size_t exponent_bits, std::size_t exponent_bias) {
  Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  const std::size_t mantissa_bits = 15 - exponent_bits;
  must(H5Tset_fields(type.id(), 15, mantissa_bits, exponent_bits, 0, mantissa_bits), "make a type");
  must(H5Tset_size(type.id(), 2), "make a type");
  must(H5Tset_ebias(type.id(), exponent_bias), "make a type");
  return type;
}

Handle element_type(DType dtype) {
  const auto copy = [](hid_t type) { return Handle(H5Tcopy(type), H5Tclose); };
  switch (dtype) {
    case DType::f32:
      return copy(H5T_IEEE_F32LE);
    case DType::f64:
      return copy(H5T_IEEE_F64LE);
    case DType::bf16:
      return short_float(8, 127);
    case DType::f16:
      return short_float(5, 15);
    case DType::i32:
      return copy(H5T_STD_I32LE);
    case DType::i64:
      return copy(H5T_STD_I64LE);
    case DType::u8:
      return copy(H5T_STD_U8LE);
  }
  throw std::logic_error("hdf5: a dtype without a type");
}

Handle access_list() {
  Handle list(must(H5Pcreate(H5P_FILE_ACCESS), "make a property list"), H5Pclose);
  must(H5Pset_libver_bounds(list.id(), H5F_LIBVER_V110, H5F_LIBVER_V110), "choose the format");
  must(H5Pset_fclose_degree(list.id(), H5F_CLOSE_STRONG), "choose the close degree");
  // Nobody else knows the temporary name, and readers never wait; network file systems often have
  // no locks.
  must(H5Pset_file_locking(list.id(), false, true), "switch off file locks");
  return list;
}

/// Links and attributes stay in the object header, whose checksum covers them.
void keep_compact(const Handle& creation_list) {
  must(H5Pset_link_phase_change(creation_list.id(), 65535, 65535), "make a property list");
  must(H5Pset_attr_phase_change(creation_list.id(), 65535, 65535), "make a property list");
}

int flush_and_close_file(int64_t id) {
  return H5Fflush(id, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fclose(id);
}

std::vector<hsize_t> extents(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

Locked::Locked() {
  static std::recursive_mutex mutex;
  lock_ = std::unique_lock(mutex);
  // Without the library's exit handler, which would close abandoned files. Everything else is
  // closed by then.
  static const bool first = (H5dont_atexit(), H5open(), true);
  (void)first;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5Eclear2(H5E_DEFAULT);
}

std::string library_reason() {
  std::string reason;
  const auto first = [](unsigned, const H5E_error2_t* e, void* text) -> herr_t {
    auto& out = *static_cast<std::string*>(text);
    if (out.empty() && e->desc) out = e->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &reason);
  // Of a failed system call it says everything, down to buffer addresses: "file write failed: time
  // = ..., error message = 'File too large', ...". What failed and the system's word for it are
  // enough.
  constexpr std::string_view kMark = "error message = '";
  if (const std::size_t at = reason.find(kMark); at != std::string::npos) {
    const std::size_t begin = at + kMark.size(), end = reason.find('\'', begin);
    reason = reason.substr(0, reason.find(':')) + ": " + reason.substr(begin, end - begin);
  }
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  return reason.empty() ? "the HDF5 library gives no reason" : reason;
}

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this == &other) return *this;
  reset();
  std::swap(id_, other.id_);
  close_ = other.close_;
  broken_ = std::move(other.broken_);
  return *this;
}

void Handle::reset() {
  if (id_ < 0) return;
  const Locked lock;
  const bool abandoned = broken_ && !broken_->empty();
  if (!abandoned && close_(id_) < 0 && broken_) *broken_ = library_reason();
  id_ = -1;
}

int flush_and_close_dataset(int64_t id) { return H5Dflush(id) < 0 ? -1 : H5Dclose(id); }

Handle chunked_storage(const Shape& shape, int64_t row_bytes, const DatasetOptions& options) {
  Handle list(must(H5Pcreate(H5P_DATASET_CREATE), "make a property list"), H5Pclose);
  if (shape.numel() == 0) return list;  // nothing to cut into chunks
  constexpr int64_t kChunkBytes = int64_t(1) << 20;
  check(row_bytes < (int64_t(1) << 31), "[hdf5] a row is too long for a chunk; got {} bytes",
        row_bytes);
  int64_t rows = options.chunk_rows;
  if (rows <= 0) rows = std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, row_bytes));
  std::vector<hsize_t> chunk = extents(shape);
  chunk[0] = hsize_t(std::min(rows, shape[0]));
  must(H5Pset_chunk(list.id(), int(chunk.size()), chunk.data()), "choose the chunks");
  if (options.deflate > 0)
    must(H5Pset_deflate(list.id(), unsigned(options.deflate)), "compress data");
  must(H5Pset_fletcher32(list.id()), "add checksums");
  return list;
}

Shape checked_shape(int64_t dataset, const std::string& name) {
  const std::string what = "read the shape of " + name;
  const Handle space(must(H5Dget_space(dataset), what), H5Sclose);
  const int rank = must(H5Sget_simple_extent_ndims(space.id()), what);
  check_user(rank >= 1, "[hdf5] {} must have at least one axis", name);
  std::vector<hsize_t> dims(std::size_t(rank), 0);
  must(H5Sget_simple_extent_dims(space.id(), dims.data(), nullptr), what);

  const Handle file(must(H5Iget_file_id(dataset), what), H5Fclose);
  const Handle type(must(H5Dget_type(dataset), what), H5Tclose);
  hsize_t file_bytes = 0;
  must(H5Fget_filesize(file.id(), &file_bytes), what);
  constexpr hsize_t kBestDeflate = 1032;  // no stream of deflate expands by more
  uint64_t bytes = H5Tget_size(type.id());
  bool fits = true;
  for (hsize_t d : dims)
    fits = fits && !__builtin_mul_overflow(bytes, std::max<hsize_t>(d, 1), &bytes);
  check_user(
      fits && bytes / kBestDeflate <= file_bytes,
      "[hdf5] {} claims more data than its file can hold; got shape [{}] in a file of {} bytes",
      name, fmt::join(dims, ", "), file_bytes);
  return Shape(std::vector<int64_t>(dims.begin(), dims.end()));
}

Handle row_selection(int64_t dataset, int64_t first, int64_t count, Handle& memory,
                     const std::string& what) {
  Handle space(must(H5Dget_space(dataset), what), H5Sclose);
  std::vector<hsize_t> start(std::size_t(must(H5Sget_simple_extent_ndims(space.id()), what)), 0);
  std::vector<hsize_t> size(start.size());
  must(H5Sget_simple_extent_dims(space.id(), size.data(), nullptr), what);
  start[0] = hsize_t(first);
  size[0] = hsize_t(count);
  must(H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr),
       what);
  memory = Handle(must(H5Screate_simple(int(size.size()), size.data(), nullptr), what), H5Sclose);
  return space;
}

int64_t Dataset::row_bytes() const {
  int64_t bytes = int64_t(size_of(dtype_));
  for (int64_t axis = 1; axis < shape_.ndim(); ++axis) bytes *= shape_[axis];
  return bytes;
}

void Dataset::check_type(DType expected) const {
  check_user(dtype_ == expected, "[hdf5] {} holds {}; expected {}", name_, dtype_, expected);
}

void Dataset::check_range(int64_t first, int64_t count, std::size_t bytes) const {
  check(first >= 0 && count >= 0 && first <= rows() && count <= rows() - first,
        "[hdf5] {} has no rows [{}, {}); it has {}", name_, first, first + count, rows());
  check(int64_t(bytes) == count * row_bytes(), "[hdf5] {} rows of {} take {} bytes; got {}", count,
        name_, count * row_bytes(), bytes);
}

void Dataset::write_rows(int64_t first, int64_t count, std::span<const std::byte> bytes) {
  check_range(first, count, bytes.size());
  if (bytes.empty()) return;
  const Locked lock;
  const std::string what = "write " + name_;
  Handle memory;
  const Handle space = row_selection(handle_.id(), first, count, memory, what);
  const Handle type = element_type(dtype_);
  must_write(H5Dwrite(handle_.id(), type.id(), memory.id(), space.id(), H5P_DEFAULT, bytes.data()),
             broken_, what);
}

void Dataset::read_rows(int64_t first, int64_t count, std::span<std::byte> bytes) const {
  check_range(first, count, bytes.size());
  if (bytes.empty()) return;
  const Locked lock;
  const std::string what = "read " + name_;
  Handle memory;
  const Handle space = row_selection(handle_.id(), first, count, memory, what);
  const Handle type = element_type(dtype_);
  must(H5Dread(handle_.id(), type.id(), memory.id(), space.id(), H5P_DEFAULT, bytes.data()), what);
}

void Dataset::shrink(int64_t rows) {
  check(rows >= 0 && rows <= shape_[0], "[hdf5] {} cannot shrink from {} to {} rows", name_,
        shape_[0], rows);
  if (rows == shape_[0]) return;
  const Locked lock;
  std::vector<int64_t> dims = shape_.dims();
  dims[0] = rows;
  shape_ = Shape(dims);
  const std::vector<hsize_t> size = extents(shape_);
  must_write(H5Dset_extent(handle_.id(), size.data()), broken_, "shrink " + name_);
}

File File::create(const fs::path& path) {
  const Locked lock;
  File file;
  file.origin_ = path.string();
  file.output_ = std::make_unique<AtomicFile>(path);
  file.broken_ = std::make_shared<std::string>();
  const Handle access = access_list();
  const Handle creation(must(H5Pcreate(H5P_FILE_CREATE), "make a property list"), H5Pclose);
  keep_compact(creation);
  const hid_t id =
      H5Fcreate(file.output_->temporary().c_str(), H5F_ACC_TRUNC, creation.id(), access.id());
  file.handle_ = Handle(must(id, "create " + file.origin_), flush_and_close_file, file.broken_);
  return file;
}

File File::open(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check_user(fs::exists(status), "[hdf5] cannot open {}: {}", path.string(),
             error ? error.message() : "No such file or directory");
  check_user(fs::is_regular_file(status), "[hdf5] cannot open {}: it is no regular file",
             path.string());
  const Locked lock;
  File file;
  file.origin_ = path.string();
  const Handle access = access_list();
  check_user(H5Fis_hdf5(path.c_str()) != 0, "[hdf5] {} is not an HDF5 file", file.origin_);
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id());
  file.handle_ = Handle(must(id, "open " + file.origin_), H5Fclose);
  return file;
}

File::~File() = default;

void File::finish() {
  check(output_ != nullptr, "[hdf5] {} was opened for reading or is finished", origin_);
  const Locked lock;
  const auto check_written = [&] {
    check_user(broken_->empty(), "[hdf5] cannot write {}: {}", origin_, *broken_);
  };
  check_written();  // closing a data set has no other way to tell
  must_write(H5Fflush(handle_.id(), H5F_SCOPE_GLOBAL), broken_, "write " + origin_);
  handle_.reset();
  check_written();
  output_->commit();
  output_.reset();
}

void File::make_group(const std::string& path) {
  const Locked lock;
  const Handle list(must(H5Pcreate(H5P_LINK_CREATE), "make a property list"), H5Pclose);
  must(H5Pset_create_intermediate_group(list.id(), 1), "make a property list");
  const Handle creation(must(H5Pcreate(H5P_GROUP_CREATE), "make a property list"), H5Pclose);
  keep_compact(creation);
  const hid_t id = H5Gcreate2(handle_.id(), path.c_str(), list.id(), creation.id(), H5P_DEFAULT);
  Handle(must_write(id, broken_, "create group " + path + " in " + origin_), H5Gclose);
}

bool File::exists(const std::string& path) const {
  const Locked lock;
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);  // H5Lexists wants every parent to exist
    if (part != "/" && H5Lexists(handle_.id(), part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> File::list(const std::string& path) const {
  const Locked lock;
  const std::string what = "list group " + path + " of " + origin_;
  const Handle group(must(H5Gopen2(handle_.id(), path.c_str(), H5P_DEFAULT), what), H5Gclose);
  H5G_info_t info;
  must(H5Gget_info(group.id(), &info), what);
  std::vector<std::string> names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const auto get = [&](char* out, std::size_t size) {
      return must(H5Lget_name_by_idx(group.id(), ".", H5_INDEX_NAME, H5_ITER_INC, i, out, size,
                                     H5P_DEFAULT),
                  what);
    };
    std::string name(std::size_t(get(nullptr, 0)), '\0');
    get(name.data(), name.size() + 1);
    names.push_back(std::move(name));
  }
  return names;
}

Dataset File::create_dataset(const std::string& path, DType dtype, const Shape& shape,
                             const DatasetOptions& options) {
  check(shape.ndim() >= 1, "[hdf5] {} in {} must have at least one axis", path, origin_);
  const Locked lock;
  Dataset d;
  d.name_ = "'" + path + "' of " + origin_;
  d.shape_ = shape;
  d.dtype_ = dtype;
  d.broken_ = broken_;
  const std::string what = "create " + d.name_;
  const std::vector<hsize_t> dims = extents(shape);
  const Handle space(must(H5Screate_simple(int(dims.size()), dims.data(), nullptr), what),
                     H5Sclose);
  const Handle storage = chunked_storage(shape, d.row_bytes(), options);
  const Handle type = element_type(dtype);
  const hid_t id = H5Dcreate2(handle_.id(), path.c_str(), type.id(), space.id(), H5P_DEFAULT,
                              storage.id(), H5P_DEFAULT);
  d.handle_ = Handle(must_write(id, broken_, what), flush_and_close_dataset, broken_);
  return d;
}

Dataset File::open_dataset(const std::string& path) const {
  const Locked lock;
  Dataset d;
  d.name_ = "'" + path + "' of " + origin_;
  const std::string what = "open " + d.name_;
  d.handle_ = Handle(must(H5Dopen2(handle_.id(), path.c_str(), H5P_DEFAULT), what), H5Dclose);
  d.shape_ = checked_shape(d.handle_.id(), d.name_);
  const Handle type(must(H5Dget_type(d.handle_.id()), what), H5Tclose);
  const auto same = [&](DType t) { return H5Tequal(type.id(), element_type(t).id()) > 0; };
  const auto found = std::find_if(kStored.begin(), kStored.end(), same);
  check_user(found != kStored.end(), "[hdf5] {} has an element type that is not read here",
             d.name_);
  d.dtype_ = *found;
  return d;
}

}  // namespace noisette::hdf5
