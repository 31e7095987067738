#include "framework/io/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "framework/io/hash.h"
#include "tests/io/files.h"
#include "tests/io/full_disk.h"

namespace noisette {
namespace {
using test::error_of;
using test::Folder;

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const Folder folder;
  {
    AtomicFile file(folder / "a");
    file.write("half");
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
    EXPECT_EQ(folder.entries(), 1);
  }
  EXPECT_EQ(folder.entries(), 0);
  AtomicFile file(folder / "a");
  file.write("who");
  file.write("le");
  file.commit();
  EXPECT_EQ(test::get(folder / "a"), "whole");
  EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, KeepsTheOldFileUntilCommit) {
  const Folder folder;
  write_file(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
  }
  EXPECT_EQ(read_text(folder / "a"), "old");
  write_file(folder / "a", "new");
  EXPECT_EQ(read_text(folder / "a"), "new");
}

TEST(AtomicFile, WritesThroughALink) {
  const Folder folder;
  write_file(folder / "target", "old");
  std::filesystem::create_symlink("target", folder / "link");
  write_file(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(read_text(folder / "target"), "new");
}

TEST(AtomicFile, RemovesWhatAKilledWriterLeft) {
  const Folder folder;
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file(folder / "a");
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(folder.entries(), 1);
  write_file(folder / "a", "x");
  EXPECT_EQ(folder.entries(), 1);
  EXPECT_EQ(read_text(folder / "a"), "x");
}

TEST(AtomicFile, SharesAFolderWithWhatAProcessOfItsNumberLeft) {
  const Folder folder;
  std::string next;
  {
    const AtomicFile first(folder / "a");
    next = first.temporary().string();
  }
  const std::size_t at = next.rfind('.', next.size() - 5) + 1;
  const int serial = std::stoi(next.substr(at));
  test::put(next.substr(0, at) + std::to_string(serial + 1) + ".tmp", "left");
  write_file(folder / "a", "new");
  EXPECT_EQ(test::get(folder / "a"), "new");
}

TEST(AtomicFile, TellsPathAndReason) {
  const Folder folder;
  EXPECT_CONTAINS(error_of([&] { write_file(folder / "no/such/folder", "x"); }),
                  "no/such/folder: No such file or directory");
  EXPECT_CONTAINS(error_of([&] { write_file(folder.path(), "x"); }), "is a folder");
  EXPECT_CONTAINS(error_of([&] { write_file("/dev/null", "x"); }), "no regular file");
  EXPECT_CONTAINS(error_of([&] { write_file("/proc/noisette", "x"); }),
                  "cannot write /proc/noisette: ");
}

TEST(AtomicFile, FullDiskLeavesNothing) {
  const Folder folder;
  write_file(folder / "a", "old");
  const std::string big(100'000, 'x');
  const test::FullDisk full(10'000);
  EXPECT_CONTAINS(error_of([&] { write_file(folder / "a", big); }), "File too large");
  EXPECT_EQ(folder.entries(), 1);
  EXPECT_EQ(read_text(folder / "a"), "old");
}

TEST(ReadFile, ChecksKindAndSize) {
  const Folder folder;
  test::put(folder / "a", "12345");
  EXPECT_EQ(read_text(folder / "a", 5), "12345");
  EXPECT_CONTAINS(error_of([&] { read_text(folder / "a", 4); }), "got 5 bytes with a limit of 4");
  EXPECT_CONTAINS(error_of([&] { read_file(folder / "b"); }), "No such file");
  EXPECT_CONTAINS(error_of([&] { read_file(folder.path()); }), "no regular file");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_CONTAINS(error_of([&] { read_file(folder / "pipe"); }), "no regular file");
}

TEST(Hash, KnownAnswerAndPieces) {
  // `printf '' | xxhsum -H2` and `printf noisette | xxhsum -H2`
  EXPECT_EQ(Hasher().hex(), "99aa06d3014798d86001c324468d497f");
  Hasher whole, pieces;
  whole.add("noisette");
  pieces.add("noi");
  pieces.add("");
  pieces.add("sette");
  EXPECT_EQ(whole.hex(), pieces.hex());
  EXPECT_EQ(whole.hex(), hash_hex(test::bytes_of("noisette")));
  EXPECT_NE(whole.hex(), Hasher().hex());
}

}  // namespace
}  // namespace noisette
