//! The command line: a guard for any program on a laptop, and the plugin of kubectl. One file per
//! verb; what several of them share has files of its own.

pub mod archive;
mod archive_place;
pub mod baseline;
pub mod completion;
pub mod describe;
pub mod exec;
pub mod flags;
pub mod guard;
pub mod lint;
pub mod list;
pub mod local;
pub mod logs;
pub mod man;
pub mod new;
pub mod output;
pub mod promote;
pub mod report;
pub mod restore;
pub mod retry;
pub mod run;
pub mod session;
pub mod stamp;
pub mod suspend;
pub mod take_back;
pub mod watch;

mod about;
mod answer;
mod cluster;
mod database;
mod embedded;
mod environment;
mod folder;
mod journalled;
mod kept_log;
mod layout;
mod locks;
mod print;
mod progress;
mod report_files;
mod seed;
mod signals;
mod story;
mod transform;
mod work;
mod yaml;
