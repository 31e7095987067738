// TensorBoard event files, written by hand: three protobuf messages in TFRecord frames.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace noisette {

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as TFRecord frames use it.
uint32_t crc32c(std::string_view bytes);
/// TFRecord stores checksums rotated right by 15 bits plus 0xa282ead8.
uint32_t masked_crc32c(std::string_view bytes);

/// Writes scalars and PNG images for TensorBoard into
/// `folder`/events.out.tfevents.<time>.<host>.<pid>.
///
/// update  where this run starts. Above zero the file opens with a session start at update + 1,
/// which makes
///         TensorBoard drop what an interrupted run wrote beyond its checkpoint.
///
/// Frame: u64 length, u32 masked CRC of the length, Event, u32 masked CRC of the Event; all little
/// endian.
class EventWriter {
 public:
  EventWriter(const std::filesystem::path& folder, int64_t update);
  void scalar(std::string_view tag, int64_t update, double value);
  /// png is a whole PNG file; its size is read from its header. Throws Error when it is none.
  void image(std::string_view tag, int64_t update, std::string_view png);
  void flush();
  const std::filesystem::path& path() const { return path_; }

 private:
  void event(int64_t update, std::string_view payload);

  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace noisette
