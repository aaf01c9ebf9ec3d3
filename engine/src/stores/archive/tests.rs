//! The archive keeps its promises on local files, on HDFS and in a bucket.

use super::{contract, testing};

mod on_local_files {
    use super::contract;
    use super::testing::local_archive;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_appended_is_read() {
        let (_folder, archive) = local_archive();
        contract::what_is_appended_is_read(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_of_the_ledger_is_archived_once() {
        let (_folder, archive) = local_archive();
        contract::a_part_of_the_ledger_is_archived_once(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_that_commit_at_once_one_does() {
        let (_folder, archive) = local_archive();
        contract::of_two_that_commit_at_once_one_does(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_without_rows_moves_the_table_on() {
        let (_folder, archive) = local_archive();
        contract::a_part_without_rows_moves_the_table_on(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unsorted_rows_are_refused() {
        let (_folder, archive) = local_archive();
        contract::unsorted_rows_are_refused(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_column_is_null_in_older_files() {
        let (_folder, archive) = local_archive();
        contract::a_new_column_is_null_in_older_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn damage_is_found() {
        let (_folder, archive) = local_archive();
        contract::damage_is_found(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn new_files_are_verified() {
        let (_folder, archive) = local_archive();
        contract::new_files_are_verified(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn small_files_become_one() {
        let (_folder, archive) = local_archive();
        contract::small_files_become_one(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn merging_meets_appends_and_other_merges() {
        let (_folder, archive) = local_archive();
        contract::merging_meets_appends_and_other_merges(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn large_days_are_cut_into_files() {
        let (_folder, archive) = local_archive();
        contract::large_days_are_cut_into_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_large_file_appears_as_a_whole() {
        let (_folder, archive) = local_archive();
        contract::a_large_file_appears_as_a_whole(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn vacuum_removes_what_nobody_needs() {
        let (_folder, archive) = local_archive();
        contract::vacuum_removes_what_nobody_needs(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_is_summed_up() {
        let (_folder, archive) = local_archive();
        contract::the_log_is_summed_up(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn conditions_reach_the_files() {
        let (_folder, archive) = local_archive();
        contract::conditions_reach_the_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_envelope_spans_event_types() {
        let (_folder, archive) = local_archive();
        contract::the_envelope_spans_event_types(archive).await;
    }
}

mod on_hdfs {
    use super::contract;
    use super::testing::hdfs_archive;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_appended_is_read() {
        let (_folder, archive) = hdfs_archive();
        contract::what_is_appended_is_read(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_of_the_ledger_is_archived_once() {
        let (_folder, archive) = hdfs_archive();
        contract::a_part_of_the_ledger_is_archived_once(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_that_commit_at_once_one_does() {
        let (_folder, archive) = hdfs_archive();
        contract::of_two_that_commit_at_once_one_does(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_without_rows_moves_the_table_on() {
        let (_folder, archive) = hdfs_archive();
        contract::a_part_without_rows_moves_the_table_on(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unsorted_rows_are_refused() {
        let (_folder, archive) = hdfs_archive();
        contract::unsorted_rows_are_refused(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_column_is_null_in_older_files() {
        let (_folder, archive) = hdfs_archive();
        contract::a_new_column_is_null_in_older_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn damage_is_found() {
        let (_folder, archive) = hdfs_archive();
        contract::damage_is_found(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn new_files_are_verified() {
        let (_folder, archive) = hdfs_archive();
        contract::new_files_are_verified(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn small_files_become_one() {
        let (_folder, archive) = hdfs_archive();
        contract::small_files_become_one(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn merging_meets_appends_and_other_merges() {
        let (_folder, archive) = hdfs_archive();
        contract::merging_meets_appends_and_other_merges(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn large_days_are_cut_into_files() {
        let (_folder, archive) = hdfs_archive();
        contract::large_days_are_cut_into_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_large_file_appears_as_a_whole() {
        let (_folder, archive) = hdfs_archive();
        contract::a_large_file_appears_as_a_whole(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn vacuum_removes_what_nobody_needs() {
        let (_folder, archive) = hdfs_archive();
        contract::vacuum_removes_what_nobody_needs(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_is_summed_up() {
        let (_folder, archive) = hdfs_archive();
        contract::the_log_is_summed_up(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn conditions_reach_the_files() {
        let (_folder, archive) = hdfs_archive();
        contract::conditions_reach_the_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_envelope_spans_event_types() {
        let (_folder, archive) = hdfs_archive();
        contract::the_envelope_spans_event_types(archive).await;
    }
}

mod in_a_bucket {
    use super::contract;
    use super::testing::s3_archive;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_appended_is_read() {
        let (_folder, archive) = s3_archive();
        contract::what_is_appended_is_read(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_of_the_ledger_is_archived_once() {
        let (_folder, archive) = s3_archive();
        contract::a_part_of_the_ledger_is_archived_once(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_that_commit_at_once_one_does() {
        let (_folder, archive) = s3_archive();
        contract::of_two_that_commit_at_once_one_does(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_without_rows_moves_the_table_on() {
        let (_folder, archive) = s3_archive();
        contract::a_part_without_rows_moves_the_table_on(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unsorted_rows_are_refused() {
        let (_folder, archive) = s3_archive();
        contract::unsorted_rows_are_refused(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_column_is_null_in_older_files() {
        let (_folder, archive) = s3_archive();
        contract::a_new_column_is_null_in_older_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn damage_is_found() {
        let (_folder, archive) = s3_archive();
        contract::damage_is_found(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn new_files_are_verified() {
        let (_folder, archive) = s3_archive();
        contract::new_files_are_verified(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn small_files_become_one() {
        let (_folder, archive) = s3_archive();
        contract::small_files_become_one(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn merging_meets_appends_and_other_merges() {
        let (_folder, archive) = s3_archive();
        contract::merging_meets_appends_and_other_merges(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn large_days_are_cut_into_files() {
        let (_folder, archive) = s3_archive();
        contract::large_days_are_cut_into_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_large_file_appears_as_a_whole() {
        let (_folder, archive) = s3_archive();
        contract::a_large_file_appears_as_a_whole(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn vacuum_removes_what_nobody_needs() {
        let (_folder, archive) = s3_archive();
        contract::vacuum_removes_what_nobody_needs(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_is_summed_up() {
        let (_folder, archive) = s3_archive();
        contract::the_log_is_summed_up(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn conditions_reach_the_files() {
        let (_folder, archive) = s3_archive();
        contract::conditions_reach_the_files(archive).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_envelope_spans_event_types() {
        let (_folder, archive) = s3_archive();
        contract::the_envelope_spans_event_types(archive).await;
    }
}
