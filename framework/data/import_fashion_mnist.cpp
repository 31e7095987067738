#include "framework/core/check.h"
#include "framework/data/archive.h"
#include "framework/data/import.h"
#include "framework/io/atomic_file.h"

namespace noisette {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMaxBytes = int64_t(1) << 30;
const std::vector<std::string> kClasses{"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                        "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                        "Bag",         "Ankle boot"};

/// NAME or NAME.gz of the folder, decompressed.
std::vector<std::byte> read_member(const fs::path& folder, const std::string& name) {
  const fs::path plain = folder / name, packed = folder / (name + ".gz");
  const bool use_plain = fs::exists(plain);
  check_user(
      use_plain || fs::exists(packed),
      "[import] {} holds neither {} nor {}.gz; Debian's package dataset-fashion-mnist brings "
      "them to {}",
      folder.string(), name, name, kFashionMnistFolder);
  const fs::path& path = use_plain ? plain : packed;
  std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  return is_gzip(bytes) ? gunzip(bytes, path.string(), kMaxBytes) : bytes;
}

struct Part {
  std::vector<std::byte> image_file, label_file;
  IdxArray images, labels;

  Part(const fs::path& folder, const std::string& stem)
      : image_file(read_member(folder, stem + "-images-idx3-ubyte")),
        label_file(read_member(folder, stem + "-labels-idx1-ubyte")),
        images(parse_idx(image_file, (folder / (stem + "-images-idx3-ubyte")).string())),
        labels(parse_idx(label_file, (folder / (stem + "-labels-idx1-ubyte")).string())) {
    check_user(
        images.shape.ndim() == 3 && labels.shape.ndim() == 1 && images.shape[0] == labels.shape[0],
        "[import] {}: the '{}' images have shape {}, their labels {}", folder.string(), stem,
        images.shape, labels.shape);
  }
  int64_t count() const { return images.shape[0]; }
};

}  // namespace

ImportResult import_fashion_mnist(const fs::path& folder, const fs::path& output,
                                  const ImportProgress& progress) {
  const Part train(folder, "train"), test(folder, "t10k");
  const Shape &a = train.images.shape, &b = test.images.shape;
  check_user(a[1] == b[1] && a[2] == b[2], "[import] {}: training images are {}, test images {}",
             folder.string(), a, b);
  const int64_t total = train.count() + test.count();
  DatasetWriter writer(output, total, a[1], a[2], 1);
  const auto bytes = std::size_t(a[1] * a[2]);
  for (const Part* part : {&train, &test})
    for (int64_t i = 0; i < part->count(); ++i) {
      const auto label = std::to_integer<int32_t>(part->labels.bytes[std::size_t(i)]);
      check_user(label < int32_t(kClasses.size()),
                 "[import] {}: image {} has label {}; expected 0 to 9", folder.string(), i, label);
      const auto image = part->images.bytes.subspan(std::size_t(i) * bytes, bytes);
      writer.add({reinterpret_cast<const uint8_t*>(image.data()), bytes}, label);
      if (progress && writer.count() % 1000 == 0) progress(writer.count(), total);
    }
  ImportResult result;
  result.info =
      writer.finish("fashion-mnist", kClasses, {{"train", train.count()}, {"test", test.count()}});
  return result;
}

}  // namespace noisette
