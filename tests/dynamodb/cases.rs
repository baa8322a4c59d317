//! One test per file of cases.

macro_rules! suites {
    ($($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                let file = concat!(stringify!($name), ".txt");
                crate::suite::run(file,
                    include_str!(concat!("cases/", stringify!($name), ".txt"))).await;
            }
        )+
    };
}

suites! { writes reads updates conditions indexes transactions older_parameters partiql tables }
